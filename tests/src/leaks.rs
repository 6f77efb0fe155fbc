//! What is there before and after: mounts, control groups, links, table elements, namespaces, processes, files.

use crate::Sandbox;
use std::collections::BTreeSet;
use std::path::Path;

/// Everything that a container could leave behind, by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Inventory {
    pub mounts: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    pub links: BTreeSet<String>,
    pub elements: BTreeSet<String>,
    pub processes: usize,
    pub files: BTreeSet<String>,
}

impl Inventory {
    /// Takes stock of a sandbox that has no container.
    pub fn of(sandbox: &Sandbox) -> Self {
        let lines = |line: &str| sandbox.shell(line).out.lines().map(str::to_string).collect();
        let mut cgroups = BTreeSet::new();
        for controller in std::fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
            folders(&controller.path(), 0, &mut |path| {
                // a container's group is called by its 64 digits
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if name.len() == 64 && mentions(sandbox, &name) {
                    cgroups.insert(path.display().to_string());
                }
            });
        }
        let mut files = BTreeSet::new();
        for folder in ["data", "run"] {
            folders(&sandbox.path(folder), 0, &mut |path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                // what belongs to a container is in a folder of its id
                if name.len() == 64 && path.components().any(|part| part.as_os_str() == "containers") {
                    files.insert(path.display().to_string());
                }
            });
        }
        Inventory {
            mounts: lines("cat /proc/self/mountinfo | cut -d' ' -f5-"),
            cgroups,
            // pooled pairs come and go by themselves: what counts is links that are in use
            links: lines(
                "ip -o link show up type veth | cut -d: -f2 | cut -d@ -f1 | head -0; ip -o link show type bridge | cut -d: -f2",
            ),
            elements: lines(
                "nft list ruleset | grep -E ':|dnat' | grep -vE 'type|policy|hook|chain|table|set |map |flags' | sort",
            ),
            processes: sandbox.processes(&[]).len(),
            files,
        }
    }
}

/// Whether this sandbox has ever known the container.
fn mentions(sandbox: &Sandbox, id: &str) -> bool {
    sandbox.path("data/containers").join(id).exists() || sandbox.log().contains(id)
}

fn folders(path: &Path, depth: usize, found: &mut dyn FnMut(&Path)) {
    if depth > 6 {
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found(&entry.path());
            folders(&entry.path(), depth + 1, found);
        }
    }
}
