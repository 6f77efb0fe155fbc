//! What is there before and after: mounts, control groups, links, table elements, namespaces, processes, descriptors, files.

use crate::Sandbox;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long what ends by itself may take: namespaces, pools that fill up again, threads that wind down.
const SETTLE: Duration = Duration::from_secs(60);

/// Everything that a container, an image or a request could leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Mount points by mount namespace: the sandbox's, and those of our processes.
    pub mounts: BTreeMap<String, Vec<String>>,
    /// Control groups below the daemon's own, in every hierarchy.
    pub cgroups: BTreeSet<String>,
    /// Links by kind; their names may differ where a pool gives them out.
    pub links: BTreeMap<String, usize>,
    /// Elements and rules of all tables, without their counters.
    pub elements: BTreeSet<String>,
    /// Network namespaces that our processes are in or hold.
    pub namespaces: usize,
    /// Our processes, by their role.
    pub processes: BTreeMap<String, usize>,
    /// Open descriptors by the role of the process and what is open, where that has a name.
    pub descriptors: BTreeMap<(String, String), usize>,
    /// Files under the data and the exec root, the database apart.
    pub files: BTreeSet<String>,
}

impl Inventory {
    /// Takes stock of a sandbox, once what is made at the first use has been made and everything has come to rest.
    pub fn of(sandbox: &Sandbox) -> Self {
        if sandbox.docker(["images", "-q", "box:1"]).out.trim() != "" {
            sandbox.docker(["run", "--rm", "box:1", "true"]).ok();
        }
        let start = Instant::now();
        let (mut last, mut same) = (Inventory::now(sandbox), 0);
        while same < 3 && start.elapsed() < SETTLE {
            std::thread::sleep(Duration::from_millis(100));
            let now = Inventory::now(sandbox);
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    fn now(sandbox: &Sandbox) -> Self {
        let instance = instance(sandbox);
        let mut pids = sandbox.processes(&[]);
        pids.extend(contained(&instance));
        let mut links = BTreeMap::new();
        for line in sandbox.shell("ip -d -o link").out.lines() {
            let kind = ["veth", "bridge", "loopback"].into_iter().find(|kind| line.contains(&format!(" {kind} ")));
            *links.entry(kind.unwrap_or("other").to_owned()).or_default() += 1;
        }
        let mut files = BTreeSet::new();
        for folder in ["data", "run"] {
            walk(&sandbox.path(folder), &mut |path| {
                if path.extension().is_none_or(|extension| extension != "redb") {
                    files.insert(steady(&path.display().to_string()));
                }
            });
        }
        let ruleset = sandbox.shell("nft -s list ruleset").out;
        Inventory {
            mounts: mounts(sandbox, &pids),
            cgroups: cgroups(&instance),
            links,
            elements: ruleset.lines().map(|line| line.trim().to_owned()).collect(),
            namespaces: namespaces(&pids),
            processes: roles(&pids),
            descriptors: descriptors(&pids),
            files,
        }
    }

    /// Checks that everything is as it was, once what winds down by itself has done so.
    #[track_caller]
    pub fn is_back(&self, sandbox: &Sandbox) {
        let start = Instant::now();
        loop {
            let now = Inventory::now(sandbox);
            if now == *self {
                return;
            }
            if start.elapsed() > SETTLE {
                panic!("left behind or gone:\n{}", self.difference(&now).join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is different, a line each.
    fn difference(&self, now: &Inventory) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |what: &str, before: BTreeSet<String>, now: BTreeSet<String>| {
            lines.extend(now.difference(&before).map(|more| format!("+ {what}: {more}")));
            lines.extend(before.difference(&now).map(|less| format!("- {what}: {less}")));
        };
        fn shown<K: std::fmt::Debug, V: std::fmt::Debug>(map: &BTreeMap<K, V>) -> BTreeSet<String> {
            map.iter().map(|(key, value)| format!("{key:?} {value:?}")).collect()
        }
        compare("mounts", shown(&self.mounts), shown(&now.mounts));
        compare("cgroup", self.cgroups.clone(), now.cgroups.clone());
        compare("links", shown(&self.links), shown(&now.links));
        compare("element", self.elements.clone(), now.elements.clone());
        compare("namespaces", [self.namespaces.to_string()].into(), [now.namespaces.to_string()].into());
        compare("processes", shown(&self.processes), shown(&now.processes));
        compare("descriptors", shown(&self.descriptors), shown(&now.descriptors));
        compare("file", self.files.clone(), now.files.clone());
        lines
    }
}

/// Mount points as the sandbox's host and our processes see them.
fn mounts(sandbox: &Sandbox, pids: &[u32]) -> BTreeMap<String, Vec<String>> {
    let points = |table: &str| {
        let mut points: Vec<String> =
            table.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect();
        points.sort();
        points
    };
    let mut found = BTreeMap::new();
    found.insert("sandbox".to_owned(), points(&sandbox.shell("cat /proc/self/mountinfo").out));
    let host = sandbox.shell("readlink /proc/self/ns/mnt").out;
    for pid in pids {
        let namespace = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap_or_default();
        if namespace.to_string_lossy() != host.trim() {
            let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            found.insert(role(*pid), points(&table));
        }
    }
    found
}

/// What a daemon calls its groups by: the beginning of its id.
fn instance(sandbox: &Sandbox) -> String {
    let id = sandbox.docker(["info", "--format", "{{.ID}}"]).ok();
    id.chars().filter(|c| c.is_ascii_hexdigit()).take(8).collect()
}

/// Processes in containers: those in a group of this daemon.
fn contained(instance: &str) -> Vec<u32> {
    let group = format!("/sampan/{instance}/");
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&group)))
        .collect()
}

/// Groups below `/sampan/<instance>`, wherever the hierarchies are mounted.
fn cgroups(instance: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        walk(&hierarchy.join("sampan").join(instance), &mut |path| {
            if path.is_dir() {
                found.insert(path.display().to_string());
            }
        });
    }
    found
}

/// Distinct network namespaces that processes are in or have open.
fn namespaces(pids: &[u32]) -> usize {
    let mut found = BTreeSet::new();
    for pid in pids {
        found.extend(std::fs::read_link(format!("/proc/{pid}/ns/net")));
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let open = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        found.extend(open.filter(|target| target.to_string_lossy().starts_with("net:[")));
    }
    found.len()
}

/// Descriptors by role and target. Sockets, pipes and the like have no name that lasts: they count by their kind.
fn descriptors(pids: &[u32]) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for pid in pids {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            // clients that keep a connection open are not ours to count
            let kind = target.split(":[").next().unwrap_or_default().to_owned();
            if kind != "socket" {
                *found.entry((role(*pid), steady(&kind))).or_default() += 1;
            }
        }
    }
    found
}

/// A log that grows begins a new segment now and then: whichever it is, it is one of the log.
fn steady(path: &str) -> String {
    match path.rsplit_once("/store/log-") {
        Some((folder, number)) if number.len() == 16 => format!("{folder}/store/log-*"),
        _ => path.to_owned(),
    }
}

fn roles(pids: &[u32]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for pid in pids {
        *found.entry(role(*pid)).or_default() += 1;
    }
    found
}

/// The first two words of a process's command line, without folders.
fn role(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    let words: Vec<&str> = line.split('\0').take(2).map(|word| word.rsplit('/').next().unwrap_or_default()).collect();
    words.join(" ")
}

fn walk(path: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        found(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}
