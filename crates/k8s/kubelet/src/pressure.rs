//! When the node runs short: images are collected first, then pods have to go, those first that use more than they asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_client::Severity::Warning;
use pods::runtime::{Disk, Image};
use tokio::sync::Notify;

use crate::admission::Pressure;
use crate::config::Eviction;
use crate::context::Context;
use crate::lookup::Seen;
use crate::node::facts::{self, FileSystem, Memory};
use crate::security::resources;
use crate::status::Verdict;
use crate::view::View;
use crate::worker::Slot;

const BEAT: Duration = Duration::from_secs(10);
/// A node that was short stays so for a while, or pods would come and go.
const CALM: Duration = Duration::from_secs(300);
/// However small its share, a disk with so many bytes left is not short.
const ENOUGH_DISK: u64 = 1 << 30;
/// An image that was just pulled is about to be used.
const FRESH: Duration = Duration::from_secs(120);

/// What there is at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Signals {
    pub memory: Memory,
    pub disk: FileSystem,
    /// How many processes there may be and are.
    pub processes: (u64, u64),
}

/// What is short.
pub fn short(signals: &Signals, limits: &Eviction) -> Pressure {
    let share = |part: u64, whole: u64, hundredths: u8| whole > 0 && part * 100 < whole * u64::from(hundredths);
    let disk = &signals.disk;
    let (most, there) = signals.processes;
    Pressure {
        memory: signals.memory.total > 0 && signals.memory.available < limits.memory_available,
        disk: (share(disk.available, disk.capacity, limits.disk_available) && disk.available < ENOUGH_DISK)
            || share(disk.inodes_free, disk.inodes, limits.inodes_free),
        pids: share(most.saturating_sub(there), most, limits.pids_available),
    }
}

/// Images to be removed so that so many bytes come free: only what may be collected and is not used, the longest unused first.
pub fn collectable(images: &[Image], used: &[String], bytes: u64, now: jiff::Timestamp) -> Vec<String> {
    let fresh = |image: &Image| {
        image.last_used.is_some_and(|at| Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < FRESH))
    };
    let mut able: Vec<&Image> =
        images.iter().filter(|image| image.collectable && !used.contains(&image.id) && !fresh(image)).collect();
    able.sort_by_key(|image| image.last_used);
    let mut freed = 0;
    able.into_iter()
        .take_while(|image| {
            let wanted = freed < bytes;
            freed += image.size;
            wanted
        })
        .map(|image| image.id.clone())
        .collect()
}

/// One pod that may have to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub uid: String,
    pub priority: i32,
    pub used: u64,
    pub requested: u64,
}

/// Who goes first: what uses more than it asked for, then what matters less, then what exceeds its request by more.
pub fn rank(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|one| {
        (Reverse(one.used > one.requested), one.priority, Reverse(one.used as i128 - one.requested as i128))
    });
    candidates
}

/// Finds the worker of a pod by its uid.
pub type Find = Arc<dyn Fn(&str) -> Option<Slot> + Send + Sync>;

/// Looks at the node now and then.
pub struct Watch {
    pub context: Arc<Context>,
    pub slot: Find,
    /// Told when the node's conditions turned.
    pub changed: Arc<Notify>,
}

impl Watch {
    pub async fn run(self) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut since: [Option<Instant>; 3] = [None; 3];
        loop {
            beat.tick().await;
            crate::logs::rotate(&self.context.runtime, self.context.config.log_limits).await;
            self.collect().await;
            self.limits().await;
            let signals = Signals {
                memory: facts::memory(),
                disk: facts::file_system(&self.context.config.data),
                processes: facts::processes(),
            };
            let now = short(&signals, &self.context.config.eviction);
            for (since, short) in since.iter_mut().zip([now.memory, now.disk, now.pids]) {
                *since = if short { Some(Instant::now()) } else { since.filter(|at| at.elapsed() < CALM) };
            }
            let pressure = Pressure { memory: since[0].is_some(), disk: since[1].is_some(), pids: since[2].is_some() };
            if pressure != self.context.admission.pressure() {
                self.context.admission.press(pressure);
                self.changed.notify_one();
            }
            if now != Pressure::default() {
                self.evict(now, &signals).await;
            }
        }
    }

    /// Images go when the disk fills, down to the lower mark.
    async fn collect(&self) {
        let images = &self.context.runtime.images;
        let Ok(Disk { capacity, available, .. }) = images.disk().await else { return };
        let limits = &self.context.config.eviction;
        let used = capacity.saturating_sub(available);
        if capacity == 0 || used * 100 < capacity * u64::from(limits.images_high) {
            return;
        }
        let wanted = used.saturating_sub(capacity / 100 * u64::from(limits.images_low));
        let Ok(all) = images.list().await else { return };
        let in_use: Vec<String> = match self.context.runtime.containers.list().await {
            Ok(containers) => containers.into_iter().map(|container| container.image_id).collect(),
            Err(_) => return,
        };
        for id in collectable(&all, &in_use, wanted, jiff::Timestamp::now()) {
            match images.remove(&id).await {
                Ok(()) => tracing::info!(image = %id, "removed: the disk fills"),
                Err(error) => tracing::debug!(image = %id, %error, "an image is not removed"),
            }
        }
    }

    /// Volumes that outgrew their own limits.
    async fn limits(&self) {
        for seen in self.context.lookup.pods() {
            let limited = seen
                .pod
                .spec
                .iter()
                .flat_map(|spec| spec.volumes.iter().flatten())
                .any(|volume| volume.empty_dir.as_ref().is_some_and(|empty| empty.size_limit.is_some()));
            if !limited {
                continue;
            }
            let view = View::new(seen.pod.clone());
            for volume in self.context.volumes.usage(&view.uid).await {
                let Some(limit) = volume.limit.filter(|limit| volume.used > *limit) else { continue };
                let text = view
                    .spec()
                    .volumes
                    .iter()
                    .flatten()
                    .find(|one| one.name == volume.name)
                    .and_then(|one| Some(one.empty_dir.as_ref()?.size_limit.as_ref()?.0.clone()))
                    .unwrap_or_else(|| limit.to_string());
                let message = format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{text}\". ", volume.name);
                self.evict_one(&view, message);
                break;
            }
        }
    }

    async fn evict(&self, short: Pressure, signals: &Signals) {
        let mut candidates = Vec::new();
        let mut views = BTreeMap::new();
        for seen in self.context.lookup.pods() {
            let view = View::new(seen.pod.clone());
            let critical = view.spec().priority.is_some_and(|priority| priority >= 2_000_000_000);
            if view.deleted() || view.finished() || critical {
                continue;
            }
            candidates.push(self.candidate(&seen, &view, short).await);
            views.insert(view.uid.clone(), view);
        }
        let Some(first) = rank(candidates).into_iter().next() else { return };
        let (resource, threshold, available) = if short.memory {
            ("memory", self.context.config.eviction.memory_available, signals.memory.available)
        } else if short.disk {
            ("ephemeral-storage", signals.disk.capacity / 100 * 10, signals.disk.available)
        } else {
            ("pids", signals.processes.0 / 20, signals.processes.0.saturating_sub(signals.processes.1))
        };
        let told = |bytes: u64| if resource == "pids" { bytes.to_string() } else { format!("{}Ki", bytes / 1024) };
        let message = format!(
            "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. ",
            told(threshold),
            told(available)
        );
        if let Some(view) = views.get(&first.uid) {
            self.evict_one(view, message);
        }
    }

    async fn candidate(&self, seen: &Seen, view: &View, short: Pressure) -> Candidate {
        let usage = match seen.sandbox() {
            Some(sandbox) => self.context.runtime.sandboxes.usage(&sandbox.id).await.ok().map(|(usage, _)| usage),
            None => None,
        };
        let requests = resources::requested(&view.pod);
        let requested = |name: &str| requests.get(name).map_or(0, |amount| amount.value().try_into().unwrap_or(0));
        let (used, requested) = if short.memory {
            (usage.map_or(0, |usage| usage.memory_working_set), requested("memory"))
        } else if short.disk {
            let volumes = self.context.volumes.usage(&view.uid).await;
            let volumes: u64 = volumes.iter().filter(|volume| !volume.memory).map(|volume| volume.used).sum();
            let logs: u64 = seen
                .containers
                .iter()
                .filter_map(|one| std::fs::metadata(&one.log_path).ok())
                .map(|about| about.len())
                .sum();
            (volumes + logs, requested("ephemeral-storage"))
        } else {
            (usage.map_or(0, |usage| usage.pids), 0)
        };
        Candidate { uid: view.uid.clone(), priority: view.spec().priority.unwrap_or(0), used, requested }
    }

    fn evict_one(&self, view: &View, message: String) {
        let Some(slot) = (self.slot)(&view.uid) else { return };
        self.context.event(view, Warning, "Evicted", message.clone());
        tracing::info!(pod = ?view.name(), message, "evicted");
        slot.evict(Verdict { reason: "Evicted".into(), message, disruption: true }, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(memory: u64, disk: u64, processes: u64) -> Signals {
        Signals {
            memory: Memory { total: 8 << 30, available: memory },
            disk: FileSystem { capacity: 20 << 30, available: disk, inodes: 1000, inodes_free: 500 },
            processes: (1000, processes),
        }
    }

    #[test]
    fn thresholds_say_what_is_short() {
        let limits = Eviction::default();
        assert_eq!(short(&signals(1 << 30, 10 << 30, 100), &limits), Pressure::default());
        assert!(short(&signals(50 << 20, 10 << 30, 100), &limits).memory);
        assert!(short(&signals(1 << 30, 1 << 29, 100), &limits).disk);
        assert!(short(&signals(1 << 30, 10 << 30, 960), &limits).pids);
    }

    #[test]
    fn a_large_disk_with_enough_left_is_not_short() {
        let mut signals = signals(1 << 30, 24 << 30, 100);
        signals.disk.capacity = 252 << 30;
        assert_eq!(short(&signals, &Eviction::default()), Pressure::default());
    }

    #[test]
    fn who_exceeds_its_request_goes_first_then_who_matters_less() {
        let one = |uid: &str, priority, used, requested| Candidate { uid: uid.into(), priority, used, requested };
        let ranked = rank(vec![
            one("within", 0, 10, 20),
            one("important", 100, 90, 0),
            one("greedy", 0, 50, 10),
            one("greediest", 0, 80, 10),
        ]);
        let order: Vec<&str> = ranked.iter().map(|one| one.uid.as_str()).collect();
        assert_eq!(order, ["greediest", "greedy", "important", "within"]);
    }

    #[test]
    fn only_what_was_pulled_for_pods_and_lies_unused_is_collected() {
        let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap();
        let image = |id: &str, collectable, used| Image {
            id: id.into(),
            collectable,
            size: 10,
            last_used: Some(at(used)),
            ..Image::default()
        };
        let all = [
            image("loaded", false, 0),
            image("used", true, 0),
            image("newer", true, 200),
            image("older", true, 100),
            image("fresh", true, 9990),
        ];
        let go = |bytes| collectable(&all, &["used".to_owned()], bytes, at(10_000));
        assert_eq!(go(5), ["older"]);
        assert_eq!(go(15), ["older", "newer"]);
        assert_eq!(go(1000), ["older", "newer"]);
    }
}
