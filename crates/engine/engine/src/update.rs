//! Changed limits merged into those that a container has.

use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::keeper::Command;
use crate::model::host::{Resources, UpdateSpec};
use crate::validate::{self, Purpose};
use crate::{Engine, Status};

/// Takes over what is set.
pub fn merge(into: &mut Resources, from: &Resources) {
    macro_rules! numbers {
        ($($field:ident),*) => {$(if from.$field != 0 { into.$field = from.$field; })*};
    }
    macro_rules! texts {
        ($($field:ident),*) => {$(if !from.$field.is_empty() { into.$field.clone_from(&from.$field); })*};
    }
    numbers!(
        blkio_weight,
        cpu_shares,
        nano_cpus,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        memory,
        memory_swap,
        memory_reservation,
        kernel_memory
    );
    texts!(cpuset_cpus, cpuset_mems);
    if from.pids_limit.is_some() {
        into.pids_limit = from.pids_limit;
    }
    // A quota and a number of processors exclude each other: the later one wins.
    if from.nano_cpus != 0 {
        into.cpu_period = 0;
        into.cpu_quota = 0;
    } else if from.cpu_quota != 0 || from.cpu_period != 0 {
        into.nano_cpus = 0;
    }
}

/// Checks the merged limits as docker does.
fn check(now: &Resources, update: &UpdateSpec, facts: &Facts) -> Result<Vec<String>> {
    let mut asked = update.resources.clone();
    let warnings = validate::resources(&mut asked, facts, Purpose::Update)?;
    let conflict = |text: &str| Err(Error::conflict(text));
    if asked.memory != 0 && asked.memory_swap == 0 && now.memory_swap > 0 && asked.memory > now.memory_swap {
        return conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    if asked.nano_cpus > 0 && (now.cpu_period > 0 || now.cpu_quota > 0) {
        return conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period/Quota has already been set");
    }
    if (asked.cpu_period > 0 || asked.cpu_quota > 0) && now.nano_cpus > 0 {
        return conflict("Conflicting options: CPU Period/Quota cannot be updated as NanoCPUs has already been set");
    }
    Ok(warnings)
}

impl Engine {
    /// Warnings about limits that do not hold as asked.
    pub async fn update(&self, container: &str, update: UpdateSpec) -> Result<Vec<String>> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        let cannot = |error: Error| error.prefixed(&format!("Cannot update container {}: ", record.id));
        if matches!(record.state.status(), Status::Removing | Status::Dead) {
            return Err(cannot(Error::internal("container is marked for removal and cannot be \"update\"")));
        }
        let warnings = check(&record.host.resources, &update, &self.inner.facts).map_err(cannot)?;
        handle.ask(|reply| Command::Update { update: Box::new(update), reply }).await?;
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_taken_over() {
        let mut now = Resources { memory: 1, cpu_quota: 5, cpuset_cpus: "0".into(), ..Resources::default() };
        merge(&mut now, &Resources { nano_cpus: 7, pids_limit: Some(9), ..Resources::default() });
        assert_eq!((now.memory, now.nano_cpus, now.cpu_quota), (1, 7, 0));
        assert_eq!((now.cpuset_cpus.as_str(), now.pids_limit), ("0", Some(9)));
    }
}
