//! The handle on everything.
#![allow(unused_variables, clippy::unused_async)]

use std::sync::Arc;

use crate::model::network::{Network, NetworkInspect, NetworkSpec};
use crate::*;

/// The engine of one daemon; cloning gives another handle on the same one. Containers and images are named by id,
/// unambiguous beginning of an id, or name.
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

/// Opening and closing.
impl Engine {
    /// Opens the state, takes over what still runs, finishes or undoes what was half done, and starts what is to be
    /// restarted.
    pub async fn open(config: EngineConfig) -> Result<Engine> {
        todo!()
    }

    /// Stops containers unless they are to live on, and puts everything away.
    pub async fn shutdown(&self) {
        todo!()
    }

    pub async fn info(&self) -> Result<Info> {
        todo!()
    }

    pub async fn disk_usage(&self, query: DiskUsageQuery) -> Result<DiskUsage> {
        todo!()
    }

    /// Events, past ones first when asked for. Fails on filters that do not exist.
    pub async fn events(&self, query: EventQuery) -> Result<EventStream> {
        todo!()
    }

    /// Puts an event of a façade among the engine's (`builder`, `daemon`).
    pub fn publish(&self, event: Event) {
        todo!()
    }
}

/// Containers.
impl Engine {
    /// Fails with `No such image: NAME:TAG` of kind not found when there is no image.
    pub async fn create(&self, spec: ContainerSpec) -> Result<Created> {
        todo!()
    }

    /// Not modified when it runs already.
    pub async fn start(&self, container: &str) -> Result<()> {
        todo!()
    }

    /// Not modified when it does not run.
    pub async fn stop(&self, container: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    pub async fn restart(&self, container: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    /// `signal` is a name with or without SIG, or a number; empty means KILL.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        todo!()
    }

    pub async fn pause(&self, container: &str) -> Result<()> {
        todo!()
    }

    pub async fn unpause(&self, container: &str) -> Result<()> {
        todo!()
    }

    pub async fn rename(&self, container: &str, name: &str) -> Result<()> {
        todo!()
    }

    pub async fn remove(&self, container: &str, options: RemoveOptions) -> Result<()> {
        todo!()
    }

    /// Resolves the container before it returns (an unknown one fails at once); await the result for the exit.
    pub async fn wait(&self, container: &str, condition: WaitCondition) -> Result<WaitResult> {
        todo!()
    }

    /// Like [`Engine::wait`] in two steps: when this returns, the waiting has begun, and no exit can be missed.
    pub async fn begin_wait(
        &self,
        container: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = WaitResult> + Send + 'static + use<>> {
        Ok(async { todo!() })
    }

    pub async fn list(&self, query: ListQuery) -> Result<Vec<ContainerSummary>> {
        todo!()
    }

    pub async fn inspect(&self, container: &str, size: bool) -> Result<Container> {
        todo!()
    }

    /// Warnings about limits that do not hold as asked.
    pub async fn update(&self, container: &str, update: UpdateSpec) -> Result<Vec<String>> {
        todo!()
    }

    /// `arguments` are those of ps; empty means `-ef`.
    pub async fn top(&self, container: &str, arguments: &str) -> Result<Top> {
        todo!()
    }

    pub async fn resize(&self, container: &str, height: u16, width: u16) -> Result<()> {
        todo!()
    }

    pub async fn prune_containers(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }
}

/// What flows out of and into containers.
impl Engine {
    /// Whether its records are raw terminal output is the container's `config.tty`.
    pub async fn logs(&self, container: &str, query: LogQuery) -> Result<LogStream> {
        todo!()
    }

    /// `one_shot` gives one reading at once, without the one before; not `stream` gives one complete reading.
    pub async fn stats(&self, container: &str, stream: bool, one_shot: bool) -> Result<StatsStream> {
        todo!()
    }

    pub async fn attach(&self, container: &str, spec: AttachSpec) -> Result<Attachment> {
        todo!()
    }

    pub async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        todo!()
    }

    /// The file system as tar.
    pub async fn export(&self, container: &str) -> Result<ByteStream> {
        todo!()
    }

    /// A path in the container as tar, with its stat.
    pub async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        todo!()
    }

    pub async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        todo!()
    }

    /// Unpacks a tar stream (plain or compressed) into a directory of the container.
    pub async fn archive_put(
        &self,
        container: &str,
        path: &str,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
        tar: ByteStream,
    ) -> Result<()> {
        todo!()
    }
}

/// Processes in containers.
impl Engine {
    /// Id of the new process.
    pub async fn exec_create(&self, container: &str, spec: ExecSpec) -> Result<String> {
        todo!()
    }

    /// `None` when detached.
    pub async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        todo!()
    }

    pub async fn exec_inspect(&self, exec: &str) -> Result<Exec> {
        todo!()
    }

    pub async fn exec_resize(&self, exec: &str, height: u16, width: u16) -> Result<()> {
        todo!()
    }
}

/// Images.
impl Engine {
    /// `all` with intermediate ones; `shared_size` and `count` cost more.
    pub async fn images(
        &self,
        all: bool,
        filters: Filters,
        shared_size: bool,
        count: bool,
    ) -> Result<Vec<ImageSummary>> {
        todo!()
    }

    pub async fn image_inspect(&self, image: &str) -> Result<ImageInspect> {
        todo!()
    }

    pub async fn image_history(&self, image: &str) -> Result<Vec<ImageHistory>> {
        todo!()
    }

    pub async fn image_tag(&self, image: &str, reference: &str) -> Result<()> {
        todo!()
    }

    pub async fn image_remove(&self, image: &str, force: bool, prune: bool) -> Result<Vec<ImageRemoved>> {
        todo!()
    }

    pub async fn images_prune(&self, filters: Filters) -> Result<ImagesPruned> {
        todo!()
    }

    /// Names or ids of what was loaded also arrive as `Progress::Output` lines.
    pub async fn load(&self, archive: ByteStream, progress: ProgressSink) -> Result<()> {
        todo!()
    }

    pub async fn save(&self, images: Vec<String>) -> Result<ByteStream> {
        todo!()
    }

    /// Image id.
    pub async fn import(&self, spec: ImportSpec, tar: ByteStream) -> Result<String> {
        todo!()
    }

    /// Image id.
    pub async fn commit(&self, spec: CommitSpec) -> Result<String> {
        todo!()
    }

    /// `reference` with a tag or digest; `all_tags` of the repository instead.
    pub async fn pull(
        &self,
        reference: &str,
        all_tags: bool,
        platform: Option<&str>,
        auth: Option<RegistryAuth>,
        progress: ProgressSink,
    ) -> Result<()> {
        todo!()
    }

    /// Without a tag, every tag of the repository.
    pub async fn push(&self, reference: &str, auth: Option<RegistryAuth>, progress: ProgressSink) -> Result<()> {
        todo!()
    }

    /// Checks credentials; answers an identity token, often empty.
    pub async fn login(&self, auth: RegistryAuth) -> Result<String> {
        todo!()
    }
}

/// Volumes.
impl Engine {
    pub async fn volume_create(&self, spec: VolumeSpec) -> Result<Volume> {
        todo!()
    }

    pub async fn volumes(&self, filters: Filters) -> Result<Vec<Volume>> {
        todo!()
    }

    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        todo!()
    }

    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        todo!()
    }

    pub async fn volumes_prune(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }
}

/// Networks.
impl Engine {
    pub async fn networks(&self, filters: Filters) -> Result<Vec<Network>> {
        todo!()
    }

    pub async fn network_inspect(&self, network: &str) -> Result<NetworkInspect> {
        todo!()
    }

    pub async fn network_create(&self, spec: NetworkSpec) -> Result<Network> {
        todo!()
    }

    pub async fn network_remove(&self, network: &str) -> Result<()> {
        todo!()
    }

    pub async fn network_connect(&self, network: &str, container: &str, spec: EndpointSpec) -> Result<()> {
        todo!()
    }

    pub async fn network_disconnect(&self, network: &str, container: &str, force: bool) -> Result<()> {
        todo!()
    }

    pub async fn networks_prune(&self, filters: Filters) -> Result<Pruned> {
        todo!()
    }
}
