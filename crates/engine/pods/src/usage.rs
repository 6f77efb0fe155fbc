//! Usage in the border's terms.

use engine::CgroupStats;
use jiff::Timestamp;

use crate::runtime::{Resources, Usage};

/// From a control group's figures, of either version.
pub fn usage(stats: &CgroupStats) -> Usage {
    let memory = &stats.memory;
    // v1 tells of a group with everything beneath it under other names.
    let figure = |name: &str| {
        let total = memory.stats.get(&format!("total_{name}"));
        total.or_else(|| memory.stats.get(name)).copied()
    };
    Usage {
        time: Timestamp::now(),
        cpu_nanoseconds: stats.cpu.total,
        memory_working_set: memory.usage.saturating_sub(figure("inactive_file").unwrap_or(0)),
        memory_usage: memory.usage,
        memory_rss: figure("rss").or_else(|| figure("anon")).unwrap_or(0),
        page_faults: figure("pgfault").unwrap_or(0),
        major_page_faults: figure("pgmajfault").unwrap_or(0),
        pids: stats.pids.current,
    }
}

/// Limits as the engine takes them; no swap beyond the memory.
pub fn limits(resources: &Resources) -> engine::Resources {
    let memory = resources.memory.unwrap_or(0);
    engine::Resources {
        cpu_shares: i64::try_from(resources.cpu_shares).unwrap_or(i64::MAX),
        cpu_quota: resources.cpu_quota.unwrap_or(0),
        cpu_period: i64::try_from(resources.cpu_period).unwrap_or(0),
        memory,
        memory_swap: memory,
        pids_limit: resources.pids,
        hugepages: resources.hugepages.iter().map(|(size, bytes)| (page_size(size), *bytes)).collect(),
        ..engine::Resources::default()
    }
}

/// `2Mi` as the kernel spells it: `2MB`.
fn page_size(size: &str) -> String {
    match size.strip_suffix('i') {
        Some(size) => format!("{size}B"),
        None => size.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_are_the_kernels() {
        assert_eq!(
            (page_size("2Mi"), page_size("1Gi"), page_size("64KB")),
            ("2MB".into(), "1GB".into(), "64KB".into())
        );
    }
}
