//! Tells when something happens in folders: one inotify for all of them, opened when somebody follows the first one.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Watches folders; a cheap handle.
#[derive(Clone, Default)]
pub struct Watcher {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    notify: Option<Arc<AsyncFd<OwnedFd>>>,
    task: Option<JoinHandle<()>>,
    folders: HashMap<i32, Folder>,
}

struct Folder {
    path: PathBuf,
    changes: watch::Sender<()>,
}

/// One who wants to know.
pub struct Watching {
    watcher: Watcher,
    folder: i32,
    changes: watch::Receiver<()>,
}

impl Watcher {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes in the folder of a file from now on; `None` where that cannot be had.
    pub fn watch(&self, path: &Path) -> Option<Watching> {
        match self.try_watch(path.parent()?) {
            Ok(watching) => Some(watching),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a log cannot be followed");
                None
            }
        }
    }

    fn try_watch(&self, path: &Path) -> io::Result<Watching> {
        let mut inner = self.lock();
        let notify = match &inner.notify {
            Some(notify) => notify.clone(),
            None => {
                let notify = Arc::new(open()?);
                inner.notify = Some(notify.clone());
                inner.task = Some(tokio::spawn(tell(notify.clone(), Arc::downgrade(&self.inner))));
                notify
            }
        };
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::ONLYDIR;
        let folder = inotify::add_watch(notify.get_ref(), path, flags)?;
        let new = || Folder { path: path.to_owned(), changes: watch::Sender::new(()) };
        let changes = inner.folders.entry(folder).or_insert_with(new).changes.subscribe();
        Ok(Watching { watcher: self.clone(), folder, changes })
    }
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe; the descriptor is ours and stays open as long as it is registered"
)]
fn open() -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?, Interest::READABLE)
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Watching {
    /// Returns when something has changed since the last time.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut inner = self.watcher.lock();
        let last = inner.folders.get(&self.folder).is_some_and(|folder| folder.changes.receiver_count() <= 1);
        if !last {
            return;
        }
        if let Some(folder) = inner.folders.remove(&self.folder)
            && let Some(notify) = &inner.notify
            && let Err(error) = inotify::remove_watch(notify.get_ref(), self.folder)
        {
            // the folder went away before
            tracing::trace!(path = %folder.path.display(), %error, "a watch is not there any more");
        }
    }
}

/// Tells everybody what happens.
async fn tell(notify: Arc<AsyncFd<OwnedFd>>, inner: std::sync::Weak<Mutex<Inner>>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        let Ok(mut ready) = notify.readable().await else { return };
        let mut events = inotify::Reader::new(notify.get_ref(), &mut buffer);
        let Some(inner) = inner.upgrade() else { return };
        loop {
            match events.next() {
                Ok(event) => {
                    let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                    if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                        inner.folders.values().for_each(|folder| folder.changes.send_modify(|()| ()));
                    } else if let Some(folder) = inner.folders.get(&event.wd()) {
                        folder.changes.send_modify(|()| ());
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        ready.clear_ready();
    }
}
