//! Kinds of the group batch.

use crate::policy::Policy;

pub mod cron_job;
mod failure_policy;
pub mod job;
pub mod job_spec;
pub mod schedule;
#[cfg(test)]
mod tests;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    Some(match kind {
        "CronJob" => &cron_job::POLICY,
        "Job" => &job::POLICY,
        _ => return None,
    })
}
