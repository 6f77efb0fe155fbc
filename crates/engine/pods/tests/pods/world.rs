//! A host of its own for a test: namespaces of one thread and of everything that it starts, a daemon's engine, an image.

use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use engine::{ByteStream, Engine, EngineConfig, ImportSpec};
use pods::runtime::{Container, ContainerSpec, PodName, Runtime, Sandbox, SandboxSpec, Scope, State};

/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One test's daemon.
pub struct World {
    pub folder: PathBuf,
    pub engine: Engine,
    pub pods: Runtime,
}

/// One test's host: it outlives daemons.
pub struct Host {
    folder: tempfile::TempDir,
}

/// Runs a test on a thread in new namespaces; without privileges says so and passes.
pub fn on_a_bare_host(test: impl FnOnce(&Host) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let thread = std::thread::spawn(|| {
        sys::namespace::unshare_mounts_of_thread().unwrap();
        sys::netns::unshare().unwrap();
        run("mount", &["--make-rprivate", "/"]);
        run("ip", &["link", "set", "lo", "up"]);
        test(&Host { folder: tempfile::tempdir().unwrap() });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test with one daemon from its start to its end.
pub fn on_a_host<F: Future<Output = ()>>(test: impl FnOnce(World) -> F + Send + 'static) {
    on_a_bare_host(|host| {
        host.daemon(|world| async move {
            import_busybox(&world.engine).await;
            test(world).await;
        });
    });
}

impl Host {
    /// Runs a daemon until the future is ready; then it is gone as if it were killed, unless it was shut down.
    pub fn daemon<T, F: Future<Output = T>>(&self, life: impl FnOnce(World) -> F) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let told = runtime.block_on(async {
            let folder = self.folder.path().to_owned();
            let engine = open_engine(&folder).await;
            let pods = pods::open(engine.clone(), pods::Config::default()).await.unwrap();
            life(World { folder, engine, pods }).await
        });
        runtime.shutdown_timeout(PATIENCE);
        told
    }

    /// Kills the supervisor and waits until it is gone.
    pub fn kill_supervisor(&self) {
        kill_supervisor(self.folder.path());
    }
}

/// Kills the supervisor of a folder and waits until it is gone.
pub fn kill_supervisor(folder: &Path) {
    let pid = std::fs::read_to_string(folder.join("run/supervisor.lock")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).unwrap();
    let mut gone = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut gone, None).unwrap();
}

/// A program of the host, which must succeed.
pub fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}

async fn open_engine(folder: &Path) -> Engine {
    let binary = env!("CARGO_BIN_EXE_pods-under-test").into();
    let mut config = EngineConfig::new(folder.join("data"), folder.join("run"), binary);
    config.network.ready = 2;
    let start = Instant::now();
    loop {
        match Engine::open(config.clone()).await {
            Ok(engine) => return engine,
            // A thread of the daemon before has the database open for another moment.
            Err(error) if error.message().contains("already open") && start.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn import_busybox(engine: &Engine) {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_data(&mut header, format!("{name}/"), std::io::empty()).unwrap();
    }
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content).unwrap();
    };
    file("bin/busybox", 0o755, &std::fs::read("/bin/busybox").unwrap());
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/tmp:/bin/sh\n");
    file("etc/group", 0o644, b"root:x:0:\nalice:x:1000:\nwheel:x:10:alice\n");
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|it| *it != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    let bytes = tar.into_inner().unwrap();
    let (send, stream) = ByteStream::channel();
    tokio::spawn(async move {
        let _ = send.send(Ok(bytes.into())).await;
    });
    let spec = ImportSpec { reference: Some("box:1".to_owned()), ..ImportSpec::default() };
    engine.import(spec, stream).await.unwrap();
}

impl World {
    /// A pod's sandbox as the kubelet asks for one.
    pub fn pod(&self, name: &str) -> SandboxSpec {
        SandboxSpec {
            pod: PodName { namespace: "default".to_owned(), name: name.to_owned(), uid: format!("uid-{name}") },
            hostname: name.to_owned(),
            log_directory: self.logs(name),
            pid: Scope::Container,
            cgroup_parent: format!("/kubepods/burstable/pod-{name}"),
            labels: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            ..SandboxSpec::default()
        }
    }

    pub fn logs(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(name)
    }

    pub async fn sandbox(&self, name: &str) -> Sandbox {
        self.pods.sandboxes.run(self.pod(name)).await.unwrap()
    }

    /// Creates and starts a container that runs a script.
    pub async fn start(&self, sandbox: &str, name: &str, script: &str) -> String {
        self.start_with(sandbox, container(name, script)).await
    }

    pub async fn start_with(&self, sandbox: &str, spec: ContainerSpec) -> String {
        let id = self.pods.containers.create(sandbox, spec).await.unwrap();
        self.pods.containers.start(&id).await.unwrap();
        id
    }

    pub async fn container(&self, id: &str) -> Option<Container> {
        self.pods.containers.list().await.unwrap().into_iter().find(|it| it.id == id)
    }

    pub async fn find(&self, id: &str) -> Option<Sandbox> {
        self.pods.sandboxes.list().await.unwrap().into_iter().find(|it| it.id == id)
    }

    /// The state of a container once it has ended.
    pub async fn ended(&self, id: &str) -> State {
        let mut found = None;
        until("a container ends", async || {
            found = self.container(id).await.map(|it| it.state);
            matches!(found, Some(State::Exited { .. }))
        })
        .await;
        found.unwrap()
    }

    /// Runs a script to its end in a container of its own; its exit code and what it wrote.
    pub async fn output(&self, sandbox: &str, spec: ContainerSpec) -> (i32, String) {
        let log = self.container_log(sandbox, &spec).await;
        let id = self.start_with(sandbox, spec).await;
        let State::Exited { code, message, .. } = self.ended(&id).await else { unreachable!() };
        self.pods.containers.remove(&id).await.unwrap();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(log);
        let lines = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
        (code, lines.collect::<Vec<_>>().join("\n") + &message)
    }

    async fn container_log(&self, sandbox: &str, spec: &ContainerSpec) -> PathBuf {
        self.logs(&self.find(sandbox).await.unwrap().pod.name).join(&spec.log_path)
    }

    /// What a command in a running container says.
    pub async fn exec(&self, container: &str, script: &str) -> (i32, String) {
        let command = ["sh", "-c", script].map(str::to_owned).into();
        let said = self.pods.streams.exec_sync(container, command, PATIENCE).await.unwrap();
        (said.code, String::from_utf8_lossy(&said.stdout).trim().to_owned() + &String::from_utf8_lossy(&said.stderr))
    }

    /// Runs `work` on a thread in the network namespace of a running container.
    pub async fn inside<T: Send + 'static>(
        &self,
        container: &str,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let pid = self.container(container).await.unwrap().pid;
        let netns = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        tokio::task::spawn_blocking(move || network::run_inside(netns.as_fd(), work)).await.unwrap()
    }

    /// Control groups that are left of this daemon's pods.
    pub async fn groups(&self) -> Vec<PathBuf> {
        let instance = self.engine.info().await.unwrap().id;
        let hierarchy = cgroup::Hierarchy::detect().unwrap();
        let mounts = hierarchy.v1_mounts().into_iter().map(|(_, mount)| mount.to_owned());
        let mounts = mounts.chain(hierarchy.v2_mount().map(Into::into)).collect::<Vec<PathBuf>>();
        let tops = mounts.iter().map(|mount| mount.join("sampan").join(&instance[..8]).join("kubepods"));
        tops.filter(|path| path.exists()).collect()
    }

    /// Ends everything in order; nothing may be left.
    pub async fn end(self) {
        for sandbox in self.pods.sandboxes.list().await.unwrap() {
            self.pods.sandboxes.remove(&sandbox.id).await.unwrap();
        }
        assert_eq!(self.groups().await, Vec::<PathBuf>::new());
        let folders = std::fs::read_dir(self.folder.join("data/sandboxes")).map_or(0, Iterator::count);
        assert_eq!(folders, 0, "folders of sandboxes");
        self.engine.shutdown().await;
    }
}

/// A container that runs a script.
pub fn container(name: &str, script: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: "box:1".to_owned(),
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        log_path: format!("{name}/0.log").into(),
        pid: Scope::Container,
        ..ContainerSpec::default()
    }
}

/// Waits until a condition holds; fails when the machine's patience is over.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
