//! `sampan daemon`: flags and file, sockets, engine and API put together; lives until a signal ends it.

mod file;
mod flags;
mod kubernetes;
mod leading;
mod node;
mod pidfile;
mod services;
mod settings;
mod sockets;
mod tls;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use flags::Flags;
use pidfile::PidFile;
use sockets::{Address, Bound};

/// Runs the daemon; `args` are what follows its name.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("sampan daemon");
    let flags = match Flags::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(flags) => flags,
        Err(e) => e.exit(),
    };
    if flags.version {
        println!("Sampan version {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("failed to start daemon: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(mut flags: Flags) -> Result<()> {
    file::merge(&mut flags)?;
    start_log(&flags)?;
    refuse_what_is_missing(&flags)?;
    for name in flags.idle.given() {
        tracing::warn!("{name} has no meaning for this daemon");
    }
    if flags.validate {
        settings::engine(&flags)?;
        println!("configuration OK");
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("the daemon needs root");
    }
    raise_descriptor_limit();
    let pidfile = flags.pidfile.clone().unwrap_or_else(|| PathBuf::from("/run/sampan.pid"));
    let _pidfile = PidFile::write(&pidfile)?;
    let tls = tls_config(&flags)?;
    // Bound before any thread exists: creating a socket file changes the umask of the whole process for a moment.
    let sockets = bind(&flags, tls.is_some())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the tokio runtime")?;
    let paths: Vec<PathBuf> = sockets.iter().filter_map(|s| s.path.clone()).collect();
    let result = runtime.block_on(run(flags, sockets, tls));
    for path in paths {
        let _ = std::fs::remove_file(path);
    }
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

fn refuse_what_is_missing(flags: &Flags) -> Result<()> {
    if let Some(user) = flags.userns_remap.as_deref().filter(|user| !user.is_empty()) {
        bail!("--userns-remap={user} is not implemented");
    }
    if flags.network.iptables == Some(false) {
        bail!("--iptables=false is not implemented: published ports and masquerading need the packet filter");
    }
    Ok(())
}

fn start_log(flags: &Flags) -> Result<()> {
    let level = match (flags.debug, flags.log_level.as_deref()) {
        (Some(true), _) | (_, Some("debug")) => "debug",
        (_, None | Some("info" | "")) => "info",
        (_, Some("warn")) => "warn",
        (_, Some("error" | "fatal" | "panic")) => "error",
        (_, Some(other)) => bail!("unable to parse logging level: {other}"),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("SAMPAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    Ok(())
}

fn tls_config(flags: &Flags) -> Result<Option<Arc<rustls::ServerConfig>>> {
    let verify = flags.tls.tlsverify.unwrap_or(false);
    if !verify && !flags.tls.tls.unwrap_or(false) {
        return Ok(None);
    }
    let folder = Path::new("/etc/docker");
    let or = |file: &Option<PathBuf>, name: &str| file.clone().unwrap_or_else(|| folder.join(name));
    let clients = if verify { tls::Clients::Certified } else { tls::Clients::Anonymous };
    let files =
        (or(&flags.tls.tlscert, "cert.pem"), or(&flags.tls.tlskey, "key.pem"), or(&flags.tls.tlscacert, "ca.pem"));
    tls::config(&files.0, &files.1, &files.2, clients).map(Some)
}

fn bind(flags: &Flags, tls: bool) -> Result<Vec<Bound>> {
    let standard = ["unix://".to_owned()];
    let texts = if flags.hosts.is_empty() { &standard[..] } else { &flags.hosts };
    let mut sockets = Vec::new();
    for text in texts {
        let address = Address::parse(text, tls)?;
        if matches!(address, Address::Tcp(_)) && !tls {
            tracing::warn!("{text}: whoever reaches this address without TLS is root on this machine");
        }
        sockets.extend(address.bind(flags.group.as_deref())?);
    }
    Ok(sockets)
}

async fn run(flags: Flags, sockets: Vec<Bound>, tls: Option<Arc<rustls::ServerConfig>>) -> Result<()> {
    let config = settings::engine(&flags)?;
    let data_root = config.data_root.clone();
    let live_restore = config.live_restore;
    let api = docker_api::Settings {
        version: config.version.clone(),
        debug: flags.debug.unwrap_or(false),
        live_restore,
        warnings: warnings(&flags, tls.is_some()),
    };
    let engine = engine::Engine::open(config).await.context("cannot open the engine")?;
    let app = Arc::new(docker_api::App::new(engine.clone(), api));
    let mut servers = tokio::task::JoinSet::new();
    for socket in sockets {
        let listener = docker_api::listen::Listener::from_fd(socket.fd, socket.family, tls.clone())?;
        servers.spawn(docker_api::serve(listener, app.clone()));
    }
    let kubernetes = match flags.kubernetes.kubernetes {
        true => Some(kubernetes::start(&flags.kubernetes, data_root, engine.clone()).await?),
        false => None,
    };
    tracing::info!("Daemon has completed initialization");
    notify_ready();
    wait_for_the_end().await?;
    tracing::info!("shutting down");
    servers.shutdown().await;
    let balanced = match kubernetes {
        Some(kubernetes) => kubernetes.shutdown().await,
        None => None,
    };
    engine.shutdown().await;
    // With the pods goes what led to them; where they live on, so does it.
    if let Some(config) = balanced.filter(|_| !live_restore)
        && let Err(error) = k8s_proxy::remove(&config)
    {
        tracing::warn!(%error, "something of the balancing of services stays in the kernel");
    }
    Ok(())
}

/// What `docker info` warns of.
fn warnings(flags: &Flags, tls: bool) -> Vec<String> {
    let open = flags.hosts.iter().filter(|host| host.starts_with("tcp:") && !tls);
    open.map(|host| {
        format!("WARNING: API is accessible on {host} without encryption. Whoever reaches it is root on this machine.")
    })
    .collect()
}

/// Tells the service manager, where there is one, that clients are served (`sd_notify`).
fn notify_ready() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = std::os::unix::net::UnixDatagram::unbound().and_then(|socket| {
        use std::os::linux::net::SocketAddrExt;
        let address = match path.to_str().and_then(|p| p.strip_prefix('@')) {
            Some(name) => std::os::unix::net::SocketAddr::from_abstract_name(name)?,
            None => std::os::unix::net::SocketAddr::from_pathname(&path)?,
        };
        socket.send_to_addr(b"READY=1", &address)
    });
    if let Err(e) = told {
        tracing::warn!("cannot tell the service manager that the daemon is ready: {e}");
    }
}

/// Returns at SIGTERM or SIGINT; SIGHUP and SIGQUIT do not end the daemon.
async fn wait_for_the_end() -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => tracing::info!("SIGHUP: the configuration is read at the start only"),
        }
    }
}

/// Every mounted layer and every stream is a descriptor; containers get limits of their own.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
