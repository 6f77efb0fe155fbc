//! `bench`: this binary beside runc, crun and dockerd, in one run, in turn, as ratios.

mod api;
mod images;
mod k8s;
mod k8s_api;
mod oci;
mod peers;

use crate::{dist, packages};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Runs the groups that are named, or all of them.
pub(crate) fn bench(groups: &[String]) -> Result<()> {
    packages::install(packages::BENCH)?;
    // a binary that was built elsewhere may be measured instead of a new one
    let binary = std::path::absolute(std::env::var_os("SAMPAN_BIN").map_or_else(dist::dist, |path| Ok(path.into()))?)?;
    let all = groups.is_empty();
    let wanted = |name: &str| all || groups.iter().any(|group| group == name);
    if let Some(unknown) = groups.iter().find(|group| !["oci", "api", "images", "k8s"].contains(&group.as_str())) {
        bail!("no group of benchmarks is called {unknown}: oci, api, images, k8s");
    }
    if wanted("oci") {
        oci::bench(&binary)?;
    }
    if wanted("api") {
        api::bench(&binary)?;
    }
    if wanted("images") {
        images::bench(&binary)?;
    }
    if wanted("k8s") {
        k8s::bench(&binary)?;
    }
    Ok(())
}

/// Times of one thing done many times.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn time<T>(&mut self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = what()?;
        self.0.push(start.elapsed());
        Ok(result)
    }

    /// The value below which `share` of the times are, in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }
}

/// A table of times, the first row being ours and the measure of the others.
fn table(title: &str, equal: &str, rows: &[(&str, &Times)]) {
    println!("\n### {title}\n\n{equal}\n\n| | runs | median ms | p99 ms | as many times ours |\n|---|---|---|---|---|");
    let ours = rows.first().map_or(f64::NAN, |(_, times)| times.quantile(0.5));
    for (name, times) in rows {
        let median = times.quantile(0.5);
        println!("| {name} | {} | {median:.2} | {:.2} | {:.2} |", times.0.len(), times.quantile(0.99), median / ours);
    }
}
