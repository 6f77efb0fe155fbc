//! The path from an object's root to a field.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A path such as `spec.containers[0].image`. Clones and children share the parents.
///
/// Made while walking an object, whether or not there is an error, so a step costs one small allocation and no formatting.
#[derive(Clone, Debug, Default)]
pub struct Path(Option<Arc<Step>>);

#[derive(Debug)]
struct Step {
    parent: Path,
    at: At,
}

#[derive(Debug)]
enum At {
    Field(Cow<'static, str>),
    Index(usize),
    Key(String),
}

impl Path {
    /// The object itself; its children are the top-level fields.
    pub const fn root() -> Self {
        Self(None)
    }

    /// A top-level field.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self::root().child(name)
    }

    /// A field of what is here. A static name is not copied.
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.step(At::Field(name.into()))
    }

    /// Several steps down, in one call.
    pub fn children(&self, names: &[&'static str]) -> Self {
        names.iter().fold(self.clone(), |path, name| path.child(*name))
    }

    /// An item of the list that is here.
    pub fn index(&self, index: usize) -> Self {
        self.step(At::Index(index))
    }

    /// A value of the map that is here.
    pub fn key(&self, key: &str) -> Self {
        self.step(At::Key(key.to_owned()))
    }

    /// Whether this is the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    fn step(&self, at: At) -> Self {
        Self(Some(Arc::new(Step { parent: self.clone(), at })))
    }
}

/// The root prints as `<nil>`, as Kubernetes has it.
impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = &self.0 else { return out.write_str("<nil>") };
        let mut steps = vec![last];
        while let Some(parent) = steps.last().and_then(|step| step.parent.0.as_ref()) {
            steps.push(parent);
        }
        for (number, step) in steps.iter().rev().enumerate() {
            match &step.at {
                At::Field(name) if number == 0 => out.write_str(name)?,
                At::Field(name) => write!(out, ".{name}")?,
                At::Index(index) => write!(out, "[{index}]")?,
                At::Key(key) => write!(out, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// A long chain is taken apart in a loop: recursion would be as deep as the object.
impl Drop for Step {
    fn drop(&mut self) {
        let mut next = self.parent.0.take();
        while let Some(step) = next {
            match Arc::try_unwrap(step) {
                Ok(mut step) => next = step.parent.0.take(),
                Err(_) => break,
            }
        }
    }
}
