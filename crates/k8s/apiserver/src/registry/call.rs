//! What comes with a request beside its object: who asks, dry run, field manager, how strict, warnings to give back.

use std::sync::{Arc, Mutex};

use k8s_types::codec::FieldValidation;

use crate::Identity;
use crate::admission::DryRun;

/// A request on its way through the registry.
pub struct Call {
    /// Who asks.
    pub identity: Arc<Identity>,
    /// Whether anything is kept.
    pub dry_run: DryRun,
    /// Name under which changed fields are owned; for updates without one the client's name is taken.
    pub manager: String,
    /// Whether apply takes fields from other managers.
    pub force: bool,
    /// What becomes of unknown and duplicate fields.
    pub validation: FieldValidation,
    warnings: Mutex<Vec<String>>,
}

impl Call {
    /// A request of somebody, with everything else as by default.
    pub fn of(identity: Arc<Identity>, manager: impl Into<String>) -> Call {
        Call {
            identity,
            dry_run: DryRun::No,
            manager: manager.into(),
            force: false,
            validation: FieldValidation::Ignore,
            warnings: Mutex::new(Vec::new()),
        }
    }

    /// A request of the server itself.
    pub fn internal() -> Call {
        Call::of(Arc::new(Identity::loopback()), "sampan")
    }

    /// Adds a warning for the client; the same text is told once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock().expect("no panic while it is held");
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Takes the warnings given so far.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().expect("no panic while it is held"))
    }
}
