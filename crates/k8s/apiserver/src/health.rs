//! `/healthz`, `/livez`, `/readyz`: checks one by one, all of them, or with their names.

use http::Response;
use k8s_store::Store;

use crate::http::answer;
use crate::http::body::Body;
use crate::http::options::Parameters;

/// Which checks there are, by name.
const CHECKS: &[&str] = &["ping", "log", "etcd", "informer-sync"];

/// What checks look at.
pub struct Health<'a> {
    /// The store.
    pub store: &'a Store,
    /// The server is about to end.
    pub ending: bool,
}

impl Health<'_> {
    /// Answers a path of one of the three, or nothing.
    pub fn answer(&self, path: &str, parameters: &Parameters) -> Option<Response<Body>> {
        let (kind, check) = match path.trim_start_matches('/').split_once('/') {
            Some((kind, check)) => (kind, Some(check.trim_end_matches('/'))),
            None => (path.trim_start_matches('/'), None),
        };
        if !matches!(kind, "healthz" | "livez" | "readyz") {
            return None;
        }
        if let Some(check) = check.filter(|check| !check.is_empty()) {
            let known = CHECKS.contains(&check) || kind == "readyz" && check == "shutdown";
            if !known {
                return Some(answer::not_found());
            }
            return Some(match self.failure(check) {
                None => answer::text(200, "ok"),
                Some(why) => answer::text(500, format!("internal server error: {why}\n")),
            });
        }
        Some(self.all(kind, parameters))
    }

    fn all(&self, kind: &str, parameters: &Parameters) -> Response<Body> {
        let mut lines = String::new();
        let mut failed = Vec::new();
        let excluded: Vec<&str> = parameters.all("exclude").collect();
        let last = (kind == "readyz").then_some("shutdown");
        for check in CHECKS.iter().copied().chain(last) {
            if excluded.contains(&check) {
                lines.push_str(&format!("[+]{check} excluded: ok\n"));
            } else if self.failure(check).is_some() {
                failed.push(check);
                lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
            } else {
                lines.push_str(&format!("[+]{check} ok\n"));
            }
        }
        if !failed.is_empty() {
            return answer::text(500, format!("{lines}{kind} check failed\n"));
        }
        match parameters.flag("verbose") {
            Some(true) => answer::text(200, format!("{lines}{kind} check passed\n")),
            _ => answer::text(200, "ok"),
        }
    }

    fn failure(&self, check: &str) -> Option<String> {
        match check {
            "etcd" => self.store.failure(),
            "shutdown" if self.ending => Some("process is shutting down".to_owned()),
            _ => None,
        }
    }
}
