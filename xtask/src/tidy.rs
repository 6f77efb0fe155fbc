//! `tidy`: the rules of the source tree that a compiler does not know.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Every crate may depend on those above it in this list, and on no other of ours.
const LAYERS: &[&str] = &[
    "sys",
    "netlink",
    "cgroup",
    "trust",
    "spec",
    "runtime",
    "supervisor",
    "store",
    "registry",
    "dns",
    "network",
    "engine",
    "pods",
    "docker-types",
    "docker-api",
    "docker-cli",
    "k8s-types",
    "k8s-store",
    "k8s-stream",
    "k8s-apiserver",
    "k8s-client",
    "k8s-controllers",
    "k8s-scheduler",
    "k8s-kubelet",
    "k8s-proxy",
    "sampan",
];
/// Allowed by the list and forbidden all the same, with the reason.
const FENCES: &[(&str, &str, &str)] = &[
    ("docker-cli", "engine", "the client speaks only the Engine API"),
    ("engine", "docker-types", "the engine knows neither HTTP nor Docker"),
    ("k8s-store", "k8s-types", "the store keeps bytes and knows no kind"),
    ("k8s-controllers", "k8s-apiserver", "a controller talks through the API, whoever serves it"),
    ("k8s-controllers", "k8s-store", "a controller talks through the API, whoever serves it"),
    ("k8s-client", "k8s-apiserver", "it talks through the API, whoever serves it"),
    ("k8s-client", "k8s-store", "it talks through the API, whoever serves it"),
    ("k8s-scheduler", "k8s-apiserver", "it talks through the API, whoever serves it"),
    ("k8s-scheduler", "k8s-store", "it talks through the API, whoever serves it"),
    ("k8s-kubelet", "k8s-apiserver", "it talks through the API, whoever serves it"),
    ("k8s-kubelet", "k8s-store", "it talks through the API, whoever serves it"),
    ("k8s-proxy", "k8s-apiserver", "it talks through the API, whoever serves it"),
    ("k8s-proxy", "k8s-store", "it talks through the API, whoever serves it"),
    ("k8s-kubelet", "engine", "the cluster reaches the engine through the traits of pods"),
    ("k8s-scheduler", "engine", "the cluster reaches the engine through the traits of pods"),
    ("k8s-controllers", "engine", "the cluster reaches the engine through the traits of pods"),
    ("k8s-proxy", "engine", "the cluster reaches the engine through the traits of pods"),
    ("cgroup", "spec", "control groups do not know the runtime specification"),
    ("spec", "sys", "specifications are data"),
];
const MOST_LINES: usize = 600;
const EMPTY_NAMES: &[&str] = &["common", "utils", "util", "helpers", "helper", "manager", "misc"];

/// Checks all rules and tells every breach.
pub(crate) fn tidy() -> Result<()> {
    let mut breaches = dependencies()?;
    let mut files = Vec::new();
    for folder in ["crates", "tests", "xtask"] {
        sources(Path::new(folder), &mut files)?;
    }
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        breaches.extend(file(path, &text).into_iter().map(|what| format!("{}: {what}", path.display())));
    }
    if breaches.is_empty() {
        println!("tidy: {} files", files.len());
        return Ok(());
    }
    bail!("tidy:\n{}", breaches.join("\n"))
}

fn dependencies() -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let mut manifests = Vec::new();
    for group in std::fs::read_dir("crates")?.flatten() {
        manifests.push(group.path().join("Cargo.toml"));
        manifests.extend(std::fs::read_dir(group.path())?.flatten().map(|entry| entry.path().join("Cargo.toml")));
    }
    for manifest in manifests.iter().filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(manifest)?;
        let name = text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or("").trim_matches('"');
        let Some(level) = LAYERS.iter().position(|layer| *layer == name) else {
            breaches.push(format!("{}: crate {name} has no place in the layers", manifest.display()));
            continue;
        };
        for wanted in ours(&text) {
            if LAYERS.iter().position(|layer| *layer == wanted) >= Some(level) {
                breaches.push(format!("{name} depends on {wanted}, which is not below it"));
            }
            if let Some((_, _, why)) = FENCES.iter().find(|(from, to, _)| *from == name && *to == wanted) {
                breaches.push(format!("{name} depends on {wanted}: {why}"));
            }
        }
    }
    Ok(breaches)
}

/// Our own crates among a manifest's dependencies.
fn ours(manifest: &str) -> Vec<&str> {
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
    let names = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| LAYERS.contains(name)).collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                sources(&path, into)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

fn file(path: &Path, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if !text.starts_with("//! ") {
        breaches.push("does not say in a first line what it holds (//!)".to_string());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        breaches.push(format!("has {lines} lines, more than {MOST_LINES}"));
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    if EMPTY_NAMES.contains(&stem) {
        breaches.push(format!("the name {stem} says nothing"));
    }
    let parent = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    if parent == Some(stem) {
        breaches.push("a file in a folder of its own name".into());
    }
    // put together here, so that this file does not find itself
    let (todo, unimplemented) = (["to", "do!("].concat(), ["unimple", "mented!("].concat());
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        if code.contains(&todo) || code.contains(&unimplemented) {
            breaches.push(format!("line {}: a placeholder", number + 1));
        }
        let opens_unsafe = ["unsafe ", "unsafe{"]
            .iter()
            .any(|word| code.trim_start().starts_with(word) || code.contains(&format!(" {word}{{")));
        if opens_unsafe && !path.starts_with("crates/host/sys") && !path.starts_with("xtask") {
            breaches.push(format!("line {}: unsafe code outside crates/host/sys", number + 1));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_are_found() {
        let path = Path::new("crates/image/store/src/utils.rs");
        let text = format!("fn x() {{ {}) }}\n    unsafe {{ y() }}\n", ["to", "do!("].concat());
        assert_eq!(file(path, &text).len(), 4, "{:?}", file(path, &text));
        assert_eq!(file(Path::new("crates/image/store/src/pull.rs"), "//! Pull.\n"), Vec::<String>::new());
    }

    #[test]
    fn own_crates_are_read_from_a_manifest() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nsys.workspace = true\ntokio.workspace = true\nspec = { path = \"\" }\n[dev-dependencies]\nengine.workspace = true\n";
        assert_eq!(ours(manifest), ["sys", "spec"]);
    }
}
