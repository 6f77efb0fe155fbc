//! What nodes and pods use: figures of all kubelets at two moments, taken when somebody asks and never else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use k8s_types::status::ApiError;
use tokio::time::Instant;

use super::figures::{self, Containers, Figures, Reading};
use super::kubelet;

use crate::server::ApiServer;

/// How old figures may be that are answered.
const FRESH: Duration = Duration::from_secs(5);
/// How old the figures before may be that a rate is made with.
const STALE: Duration = Duration::from_secs(90);
/// Between the two, where there were none before.
const WINDOW: Duration = Duration::from_secs(1);
/// How long a kubelet may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much it may say.
const LONGEST: usize = 64 << 20;

/// The figures that were taken last; a cheap handle.
#[derive(Clone, Default)]
pub struct Sampler {
    /// Held while figures are taken, so that many who ask at once cost no more than one.
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    before: Option<Arc<Sample>>,
    latest: Option<Arc<Sample>>,
}

/// Figures of all nodes.
struct Sample {
    taken: Instant,
    nodes: HashMap<String, Reading>,
    pods: HashMap<(String, String), Containers>,
}

/// Two of them.
pub struct Usage {
    before: Arc<Sample>,
    latest: Arc<Sample>,
}

/// What something used, and over which time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Billionths of a core.
    pub nanocores: u64,
    /// Bytes.
    pub memory: u64,
    /// The end of the time, in milliseconds since 1970.
    pub at: i64,
    /// Its length, in milliseconds.
    pub window: i64,
}

impl Sampler {
    /// What is used now.
    pub async fn usage(&self, server: &ApiServer) -> Result<Usage, ApiError> {
        let mut kept = self.kept.lock().await;
        let age = |sample: &Option<Arc<Sample>>| sample.as_ref().map(|sample| sample.taken.elapsed());
        if let (Some(before), Some(latest)) = (&kept.before, &kept.latest)
            && latest.taken.elapsed() < FRESH
        {
            return Ok(Usage { before: before.clone(), latest: latest.clone() });
        }
        let before = match (kept.latest.clone(), age(&kept.latest)) {
            (Some(latest), Some(age)) if age < STALE && age >= WINDOW => latest,
            _ => {
                let first = Arc::new(take(server).await?);
                tokio::time::sleep(WINDOW).await;
                first
            }
        };
        let latest = Arc::new(take(server).await?);
        *kept = Kept { before: Some(before.clone()), latest: Some(latest.clone()) };
        Ok(Usage { before, latest })
    }
}

impl Usage {
    /// That of a node.
    pub fn node(&self, name: &str) -> Option<Rate> {
        rate(self.before.nodes.get(name), self.latest.nodes.get(name)?)
    }

    /// That of a pod's containers, by their names; nothing where one of them is not known yet.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Vec<(String, Rate)>> {
        let key = (namespace.to_owned(), name.to_owned());
        let (before, latest) = (self.before.pods.get(&key), self.latest.pods.get(&key)?);
        let of = |(container, latest): (&String, &Reading)| {
            let before = before.and_then(|before| before.get(container));
            Some((container.clone(), rate(before, latest)?))
        };
        let mut rates = latest.iter().map(of).collect::<Option<Vec<_>>>()?;
        rates.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(rates).filter(|rates| !rates.is_empty())
    }
}

/// The rate between two readings, or since the beginning of what began after the first.
fn rate(before: Option<&Reading>, latest: &Reading) -> Option<Rate> {
    let same = before.filter(|before| before.started == latest.started && before.cpu_seconds <= latest.cpu_seconds);
    let (began, used) = match same {
        Some(before) => (before.at, before.cpu_seconds),
        None if latest.started > 0 => (latest.started, 0.0),
        None => return None,
    };
    let window = latest.at - began;
    if window <= 0 {
        return None;
    }
    let nanocores = (latest.cpu_seconds - used) * 1e12 / window as f64;
    Some(Rate { nanocores: nanocores as u64, memory: latest.memory as u64, at: latest.at, window })
}

/// Figures of all nodes that answer.
async fn take(server: &ApiServer) -> Result<Sample, ApiError> {
    let row = server.registry().row("", "nodes")?;
    let nodes = server.registry().list(&row, "").await?;
    let taken = Instant::now();
    let asked = nodes.iter().map(async |node| {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        match ask(server, node).await {
            Ok(figures) => Some((name.to_owned(), figures)),
            Err(error) => {
                tracing::debug!(node = name, error, "a node does not say what it uses");
                None
            }
        }
    });
    let mut sample = Sample { taken, nodes: HashMap::new(), pods: HashMap::new() };
    for (name, figures) in future::join_all(asked).await.into_iter().flatten() {
        sample.nodes.extend(figures.node.map(|reading| (name, reading)));
        sample.pods.extend(figures.pods);
    }
    Ok(sample)
}

async fn ask(server: &ApiServer, node: &serde_json::Value) -> Result<Figures, String> {
    let asking = async {
        let backend = kubelet::at(server, node).map_err(|error| error.message)?;
        let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *request.uri_mut() = http::Uri::from_static("/metrics/resource");
        let response = backend.send(request).await.map_err(|error| error.message)?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
        let now = jiff::Timestamp::now().as_millisecond();
        Ok(figures::read(&String::from_utf8_lossy(&body.to_bytes()), now))
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_two_readings_or_since_the_beginning() {
        let reading = |at, cpu_seconds, started| Reading { at, cpu_seconds, memory: 7.0, started };
        let say = |before: Option<Reading>, latest| rate(before.as_ref(), &latest).map(|r| (r.nanocores, r.window));
        assert_eq!(say(Some(reading(1000, 1.0, 0)), reading(3000, 2.0, 0)), Some((500_000_000, 2000)));
        assert_eq!(say(None, reading(3000, 2.0, 1000)), Some((1_000_000_000, 2000)));
        assert_eq!(say(Some(reading(1000, 9.0, 500)), reading(3000, 1.0, 2000)), Some((1_000_000_000, 1000)));
        assert_eq!(say(None, reading(3000, 2.0, 0)), None);
        assert_eq!(say(Some(reading(3000, 2.0, 0)), reading(3000, 2.0, 0)), None);
    }
}
