//! What a pull or a push tells while it goes on.

use std::fmt;
use std::sync::Arc;

/// Something that happened, in the order and words that docker's clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `<tag>: Pulling from <repository>`.
    PullingFrom { tag: String, repository: String },
    /// `The push refers to repository [<repository>]`.
    PushTo { repository: String },
    /// Something about one layer; `id` is the short form of the digest by which docker's clients know it.
    Layer { id: String, step: LayerStep },
    /// `Digest: <digest>`.
    Digest(String),
    /// `<tag>: digest: <digest> size: <size>`, the end of a push.
    Pushed { tag: String, digest: String, size: u64 },
    /// A line of text (`Status: Downloaded newer image for ...`).
    Status(String),
}

/// What happens to a layer; counts in bytes, a total of zero is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerStep {
    PullingFsLayer,
    Waiting,
    Downloading { current: u64, total: u64 },
    DownloadComplete,
    PullComplete,
    AlreadyExists,
    Retrying { seconds: u64 },
    Preparing,
    Pushing { current: u64, total: u64 },
    Pushed,
    LayerAlreadyExists,
    MountedFrom { repository: String },
}

impl LayerStep {
    /// Docker's words.
    pub fn status(&self) -> String {
        let words = match self {
            LayerStep::PullingFsLayer => "Pulling fs layer",
            LayerStep::Waiting => "Waiting",
            LayerStep::Downloading { .. } => "Downloading",
            LayerStep::DownloadComplete => "Download complete",
            LayerStep::PullComplete => "Pull complete",
            LayerStep::AlreadyExists => "Already exists",
            LayerStep::Retrying { seconds } => return format!("Retrying in {seconds} seconds"),
            LayerStep::Preparing => "Preparing",
            LayerStep::Pushing { .. } => "Pushing",
            LayerStep::Pushed => "Pushed",
            LayerStep::LayerAlreadyExists => "Layer already exists",
            LayerStep::MountedFrom { repository } => return format!("Mounted from {repository}"),
        };
        words.to_owned()
    }
}

/// Where events go; cloning gives another handle on the same sink. The sink must not block.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Event) + Send + Sync>);

impl Progress {
    /// Sends every event to `sink`.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(sink))
    }

    /// Tells nobody.
    pub fn silent() -> Progress {
        Progress::new(|_| ())
    }

    pub(crate) fn send(&self, event: Event) {
        (self.0)(event);
    }

    pub(crate) fn layer(&self, id: &str, step: LayerStep) {
        self.send(Event::Layer { id: id.to_owned(), step });
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Progress")
    }
}

/// Lets through one count in a while, so that a fast download does not drown its reader.
pub(crate) struct Throttle {
    last: std::time::Instant,
}

impl Throttle {
    pub(crate) fn new() -> Throttle {
        Throttle { last: std::time::Instant::now() }
    }

    /// Whether it is time to tell again.
    pub(crate) fn due(&mut self) -> bool {
        let due = self.last.elapsed() >= std::time::Duration::from_millis(100);
        if due {
            self.last = std::time::Instant::now();
        }
        due
    }
}
