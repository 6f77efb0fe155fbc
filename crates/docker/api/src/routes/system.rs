//! The daemon itself.

use std::collections::BTreeMap;

use docker_types::system as wire;
use docker_types::{API_VERSION, MIN_API_VERSION};
use engine::{DiskUsageQuery, EventQuery};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

use crate::body;
use crate::call::{Answer, Call, ok, respond};
use crate::error::ApiError;
use crate::streams::json_lines;
use crate::translate::{self, events as translate_events, system as view};

/// `GET` and `HEAD /_ping`.
pub async fn ping(_: Call) -> Answer {
    let mut answer = respond(StatusCode::OK, "text/plain; charset=utf-8", body::full("OK"))?;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    Ok(answer)
}

/// Docker's word for an architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `GET /version`.
pub async fn version(call: Call) -> Answer {
    let version = call.app.settings.version.clone();
    let kernel_version = call.app.engine.info().await?.kernel_version;
    let details = [
        ("ApiVersion", API_VERSION),
        ("MinAPIVersion", MIN_API_VERSION),
        ("Arch", architecture()),
        ("Os", "linux"),
        ("KernelVersion", &kernel_version),
        ("Experimental", "false"),
    ];
    let details: BTreeMap<_, _> =
        details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ok(&wire::Version {
        platform: wire::Platform { name: "Sampan".to_owned() },
        components: vec![wire::Component { name: "Engine".to_owned(), version: version.clone(), details }],
        version,
        api_version: API_VERSION.to_owned(),
        min_api_version: MIN_API_VERSION.to_owned(),
        os: "linux".to_owned(),
        arch: architecture().to_owned(),
        kernel_version,
        ..wire::Version::default()
    })
}

/// `GET /info`.
pub async fn info(call: Call) -> Answer {
    let mut info = view::info(call.app.engine.info().await?);
    let settings = &call.app.settings;
    let variable = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    info.http_proxy = variable(["HTTP_PROXY", "http_proxy"]);
    info.https_proxy = variable(["HTTPS_PROXY", "https_proxy"]);
    info.no_proxy = variable(["NO_PROXY", "no_proxy"]);
    info.debug = settings.debug;
    info.live_restore_enabled = settings.live_restore;
    info.n_fd = std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64);
    info.n_goroutines = tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64;
    if !settings.warnings.is_empty() {
        info.warnings.get_or_insert_default().extend(settings.warnings.iter().cloned());
    }
    ok(&info)
}

/// `GET /events`.
pub async fn events(call: Call) -> Answer {
    let query = EventQuery {
        since: translate::moment(call.query.text("since"))?,
        until: translate::moment(call.query.text("until"))?,
        filters: translate::filters(call.query.filters()?),
    };
    if let (Some(since), Some(until)) = (query.since, query.until)
        && since > until
    {
        return Err(ApiError::bad_request(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            since.as_second(),
            until.as_second()
        )));
    }
    let events = call.app.engine.events(query).await?;
    let messages = stream::unfold(events, |mut events| async move {
        let event = events.next().await?;
        Some((translate_events::event(event), events))
    });
    respond(StatusCode::OK, "application/json", json_lines(messages))
}

/// `GET /system/df`.
pub async fn disk_usage(call: Call) -> Answer {
    let types = call.query.all("type");
    if let Some(unknown) = types.iter().find(|t| !["container", "image", "volume", "build-cache"].contains(&t.as_str()))
    {
        return Err(ApiError::bad_request(format!("unknown object type: {unknown}")));
    }
    let wanted = |kind: &str| types.is_empty() || types.iter().any(|t| t == kind);
    let query = DiskUsageQuery { images: wanted("image"), containers: wanted("container"), volumes: wanted("volume") };
    let usage = call.app.engine.disk_usage(query).await?;
    let mut shown = view::disk_usage(usage, call.api);
    if !wanted("build-cache") {
        shown.build_cache = None;
    }
    ok(&shown)
}
