//! Whether and when a container that ended is started again: docker's back-off.

use std::time::Duration;

use crate::model::mode::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length makes the next wait a first one.
const LONG_RUN: Duration = Duration::from_secs(10);

/// What follows the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    Stay,
    Remove,
    Restart(Duration),
}

/// A run that ended.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub code: i32,
    pub lasted: Duration,
    /// The user asked for the end.
    pub stopped: bool,
    /// Restarts so far.
    pub restarts: u32,
    /// The wait before this run; zero at first.
    pub waited: Duration,
}

/// Decides from the policy and the run.
pub fn decide(policy: RestartPolicy, auto_remove: bool, run: Run) -> Afterwards {
    let again = match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max_retries } => run.code != 0 && (max_retries == 0 || run.restarts < max_retries),
    };
    if again && !run.stopped {
        Afterwards::Restart(next_wait(run))
    } else if auto_remove {
        Afterwards::Remove
    } else {
        Afterwards::Stay
    }
}

fn next_wait(run: Run) -> Duration {
    if run.waited.is_zero() || run.lasted >= LONG_RUN { FIRST } else { (run.waited * 2).min(LONGEST) }
}

/// Whether a container is started when the daemon starts, with what the user did before.
pub fn at_boot(policy: RestartPolicy, stopped: bool, ran: bool, code: i32) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always => ran,
        RestartPolicy::UnlessStopped => ran && !stopped,
        RestartPolicy::OnFailure { .. } => ran && !stopped && code != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run { code: 1, lasted: Duration::from_secs(1), stopped: false, restarts: 0, waited: Duration::ZERO }
    }

    #[test]
    fn waits_double_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut waited = Duration::ZERO;
        let mut seen = Vec::new();
        for _ in 0..12 {
            let Afterwards::Restart(wait) = decide(RestartPolicy::Always, false, Run { waited, ..run() }) else {
                panic!("must restart")
            };
            seen.push(wait.as_millis());
            waited = wait;
        }
        assert_eq!(seen[..4], [100, 200, 400, 800]);
        assert_eq!(seen[11], 60_000);
        let long = Run { waited, lasted: LONG_RUN, ..run() };
        assert_eq!(decide(RestartPolicy::Always, false, long), Afterwards::Restart(FIRST));
    }

    #[test]
    fn on_failure_counts_its_tries_and_respects_success() {
        let policy = RestartPolicy::OnFailure { max_retries: 2 };
        let at = |restarts, code| decide(policy, false, Run { restarts, code, ..run() });
        assert_eq!(at(1, 1), Afterwards::Restart(FIRST));
        assert_eq!(at(2, 1), Afterwards::Stay);
        assert_eq!(at(0, 0), Afterwards::Stay);
    }

    #[test]
    fn a_stop_ends_every_policy() {
        let stopped = Run { stopped: true, ..run() };
        assert_eq!(decide(RestartPolicy::Always, false, stopped), Afterwards::Stay);
        assert_eq!(decide(RestartPolicy::No, true, stopped), Afterwards::Remove);
        assert!(at_boot(RestartPolicy::Always, true, true, 0));
        assert!(!at_boot(RestartPolicy::UnlessStopped, true, true, 0));
    }
}
