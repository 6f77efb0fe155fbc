//! What the node and this process use, from `/proc`.

/// Processor time and memory.
#[derive(Debug, Default, PartialEq)]
pub struct Use {
    pub cpu_seconds: f64,
    /// Bytes that cannot be taken back without swapping.
    pub working_set: u64,
    /// Bytes that may be had.
    pub available: u64,
}

/// That of the node.
pub fn usage() -> Use {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (total, available) = memory(&read("/proc/meminfo"));
    let working_set = total.saturating_sub(available);
    Use { cpu_seconds: busy(&read("/proc/stat")) / ticks(), working_set, available }
}

/// That of this process.
pub fn process() -> Use {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // behind the name, which may hold anything
    let fields: Vec<i64> =
        stat.rsplit(')').next().unwrap_or_default().split(' ').filter_map(|f| f.parse().ok()).collect();
    // the state is no number: the first field here is the parent's id
    let field = |at: usize| fields.get(at).copied().unwrap_or_default().max(0) as u64;
    let resident = field(20) * rustix::param::page_size() as u64;
    Use { cpu_seconds: (field(10) + field(11)) as f64 / ticks(), working_set: resident, available: 0 }
}

fn ticks() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Ticks in which processors did something: all but idle and waiting; guests are in users' time already.
fn busy(stat: &str) -> f64 {
    let first = stat.lines().next().unwrap_or_default();
    let times: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|time| time.parse().ok()).collect();
    times.iter().take(8).enumerate().filter(|(at, _)| *at != 3 && *at != 4).map(|(_, time)| time).sum()
}

/// Bytes in all and available.
fn memory(meminfo: &str) -> (u64, u64) {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
    };
    (of("MemTotal:"), of("MemAvailable:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_is_no_use() {
        assert_eq!(busy("cpu  10 20 30 4000 5000 60 70 80 90 100\ncpu0 1 2 3"), 270.0);
        assert_eq!(memory("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable: 60 kB\n"), (102_400, 61_440));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(process().working_set > 100_000);
    }
}
