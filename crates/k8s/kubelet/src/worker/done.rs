//! What became of things that were let be done.

use k8s_client::Severity::{Normal, Warning};

use super::{Done, Life, Worker};
use crate::sandbox::NoSandbox;
use crate::start::NotStarted;
use crate::status::Verdict;

impl Worker {
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Sandbox(made) => {
                self.busy.remove("");
                self.made(made);
            }
            Done::Started { name, result } => {
                self.busy.remove(&name);
                self.started(&name, result);
            }
            Done::Resized { name, id, result } => {
                self.busy.remove(&name);
                self.resized(&name, id, result);
            }
            Done::Killed { name } => {
                self.busy.remove(&name);
            }
            Done::Ended => {
                self.busy.clear();
                self.life = Life::Over;
                self.context.admission.release(&self.view.uid);
                return;
            }
        }
        if self.life == Life::Ending && self.busy.is_empty() {
            self.end_now();
        }
    }

    fn made(&mut self, made: Result<std::sync::Arc<crate::volumes::MountedVolumes>, NoSandbox>) {
        match made {
            Ok(volumes) => {
                self.volumes = Some(volumes);
                self.failures.remove("");
            }
            Err(NoSandbox::Ending) => {}
            Err(NoSandbox::Failed(message)) => self.fail("", "FailedCreatePodSandBox", message),
            Err(NoSandbox::Refused(reason, message)) => {
                self.context.event(&self.view, Warning, reason, message.clone());
                self.verdict = Some(Verdict { reason: reason.into(), message, disruption: false });
                if self.life == Life::Active {
                    self.end(self.view.grace());
                }
            }
        }
    }

    fn started(&mut self, name: &str, result: Result<(), NotStarted>) {
        match result {
            Ok(()) => {
                self.failures.remove(name);
            }
            // It ran; what ended is looked at as any other.
            Err(NotStarted::Hook) => {
                self.failures.remove(name);
            }
            Err(NotStarted::Ending) => {}
            Err(NotStarted::Failed(reason, message)) => {
                if reason == "ErrImagePull" {
                    let image = self.view.part(name).map(|part| part.image().to_owned()).unwrap_or_default();
                    if let Some(part) = self.view.part(name) {
                        let told = format!("Back-off pulling image \"{image}\"");
                        self.context.event_of(&self.view, part, Normal, "BackOff", told);
                    }
                }
                self.fail(name, reason, message);
            }
        }
    }
}
