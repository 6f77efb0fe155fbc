//! Following objects: one list, then every change, for as long as the future lives.
//!
//! What is said on the wire is read by code that knows no kind; a kind's own reader sees one object at a time. So the reader of each kind is
//! there once, whoever follows it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use futures_util::AsyncBufReadExt;
use kube::api::Api;
pub use kube::api::PartialObjectMeta as Meta;
use kube::core::{Request, Status};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Objects in one answer of a list.
const PAGE: u32 = 500;
/// How long a watch may last before it is asked for again, in seconds.
const WATCH: u32 = 290;
/// Between attempts that fail, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(20)];

/// What a follower learns.
#[derive(Debug, Clone, Copy)]
pub enum Event<K> {
    /// A list begins: what was known before is no longer sure.
    Init,
    /// An object of the list.
    InitApply(K),
    /// The list is complete.
    InitDone,
    /// An object is new, or not as it was.
    Apply(K),
    /// An object has gone; as it was at last.
    Delete(K),
}

/// Which objects are followed.
#[derive(Debug, Clone, Default)]
pub struct Config {
    labels: Option<String>,
    fields: Option<String>,
}

impl Config {
    /// Only those that a label selector selects.
    pub fn labels(mut self, selector: &str) -> Config {
        self.labels = Some(selector.to_owned());
        self
    }

    /// Only those that a field selector selects.
    pub fn fields(mut self, selector: &str) -> Config {
        self.fields = Some(selector.to_owned());
        self
    }
}

/// All objects.
pub fn config() -> Config {
    Config::default()
}

/// Follows objects, or their metadata alone ([`Meta`]).
pub async fn objects<K: Resource + DeserializeOwned>(
    api: Api<K>,
    config: Config,
    mut handle: impl FnMut(Event<K>) + Send,
) {
    let request = Request::new(api.resource_url());
    let follower = Follower { client: api.into_client(), request, config };
    let mut told = |event: Event<&str>| match event.read() {
        Ok(event) => handle(event),
        Err(error) => tracing::warn!(%error, ?event, "an object is not as expected"),
    };
    follower.run(&mut told).await;
}

/// The object of an event that tells of one.
pub fn object<K>(event: Event<K>) -> Option<K> {
    match event {
        Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => Some(object),
        Event::Init | Event::InitDone => None,
    }
}

impl Event<&str> {
    /// The event of a text with the object that this is.
    fn read<K: DeserializeOwned>(self) -> serde_json::Result<Event<K>> {
        Ok(match self {
            Event::Init => Event::Init,
            Event::InitApply(text) => Event::InitApply(serde_json::from_str(text)?),
            Event::InitDone => Event::InitDone,
            Event::Apply(text) => Event::Apply(serde_json::from_str(text)?),
            Event::Delete(text) => Event::Delete(serde_json::from_str(text)?),
        })
    }
}

type Told<'t> = &'t mut (dyn FnMut(Event<&str>) + Send);

#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Some changes can no longer be told: everything is listed again.
    #[error("the revision has been compacted")]
    Expired,
    #[error(transparent)]
    Failed(kube::Error),
    #[error("reading what changes: {0}")]
    Read(#[from] std::io::Error),
    #[error("not as a watch is written: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("not a request: {0}")]
    Request(#[from] kube::core::request::Error),
}

impl From<kube::Error> for Ended {
    fn from(error: kube::Error) -> Ended {
        match error {
            kube::Error::Api(status) if status.code == 410 => Ended::Expired,
            error => Ended::Failed(error),
        }
    }
}

struct Follower {
    client: Client,
    request: Request,
    config: Config,
}

impl Follower {
    async fn run(&self, told: Told<'_>) {
        let mut pause = PAUSES[0];
        let mut version = None;
        loop {
            let ended = match version.take() {
                None => self.list(told).await.map(|listed| version = Some(listed)),
                Some(mut seen) => {
                    let ended = self.watch(&mut seen, told).await;
                    version = Some(seen);
                    ended
                }
            };
            match ended {
                Ok(()) => pause = PAUSES[0],
                Err(Ended::Expired) => version = None,
                Err(error) => {
                    tracing::debug!(%error, "following failed; again later");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES[1]);
                }
            }
        }
    }

    /// Tells all that is there; the version from which on changes are to be watched.
    async fn list(&self, told: Told<'_>) -> Result<String, Ended> {
        told(Event::Init);
        let mut parameters = kube::api::ListParams::default().limit(PAGE);
        parameters.label_selector.clone_from(&self.config.labels);
        parameters.field_selector.clone_from(&self.config.fields);
        loop {
            let text = self.client.request_text(self.request.list(&parameters)?).await?;
            let page: Page<'_> = serde_json::from_str(&text)?;
            page.items.iter().for_each(|item| told(Event::InitApply(item.get())));
            if page.metadata.r#continue.is_empty() {
                told(Event::InitDone);
                return Ok(page.metadata.resource_version);
            }
            parameters.continue_token = Some(page.metadata.r#continue);
        }
    }

    /// Tells changes after `version`, which moves along, until the server ends the watch.
    async fn watch(&self, version: &mut String, told: Told<'_>) -> Result<(), Ended> {
        // Without bookmarks: kinds that are quiet cost nothing.
        let mut parameters = kube::api::WatchParams::default().timeout(WATCH).disable_bookmarks();
        parameters.label_selector.clone_from(&self.config.labels);
        parameters.field_selector.clone_from(&self.config.fields);
        let answer = self.client.request_stream(self.request.watch(&parameters, version)?).await?;
        let mut lines = std::pin::pin!(answer);
        let mut line = String::new();
        while lines.read_line(&mut line).await? > 0 {
            // The last line may have been cut off by the end of the connection.
            if line.ends_with('\n') {
                self.line(&line, version, told)?;
            }
            line.clear();
        }
        Ok(())
    }

    fn line(&self, line: &str, version: &mut String, told: Told<'_>) -> Result<(), Ended> {
        let line: Line<'_> = serde_json::from_str(line)?;
        let text = line.object.get();
        match &*line.r#type {
            "ADDED" | "MODIFIED" => told(Event::Apply(text)),
            "DELETED" => told(Event::Delete(text)),
            "BOOKMARK" => {}
            _ => {
                let status: Status = serde_json::from_str(text)?;
                return Err(kube::Error::Api(Box::new(status)).into());
            }
        }
        *version = serde_json::from_str::<Versioned>(text)?.metadata.resource_version;
        Ok(())
    }
}
