//! The verbs, one file each or one for a few that belong together.

mod attach;
mod build;
mod containers;
mod copy;
mod create;
mod events;
mod exec;
mod images;
mod inspect;
mod list;
mod login;
mod logs;
mod networks;
mod run;
mod stats;
mod system;
mod transfer;
mod volumes;

use crate::connection::{Client, RequestError};
use crate::{Failure, Outcome};
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Verb(Box<Verb>),
    /// Build an image from a Dockerfile
    Build(build::Build),
    /// Get real time events from the server
    Events(events::Events),
    /// Show the history of an image
    History(images::History),
    /// List images
    Images(images::Images),
    /// Import the contents from a tarball to create a filesystem image
    Import(transfer::Import),
    /// Display system-wide information
    Info(system::Info),
    /// Return low-level information on objects
    Inspect(inspect::Inspect),
    /// Load an image from a tar archive or STDIN
    Load(transfer::Load),
    /// Authenticate to a registry
    Login(login::Login),
    /// Log out from a registry
    Logout(login::Logout),
    /// List containers
    Ps(list::Ps),
    /// Download an image from a registry
    Pull(transfer::Pull),
    /// Upload an image to a registry
    Push(transfer::Push),
    /// Remove one or more images
    Rmi(images::Remove),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(transfer::Save),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(images::Tag),
    /// Show the Docker version information
    Version(system::Version),
    /// Manage containers
    #[command(subcommand)]
    Container(Container),
    /// Manage images
    #[command(subcommand)]
    Image(Image),
    /// Manage networks
    #[command(subcommand)]
    Network(networks::Network),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volumes::Volume),
    /// Manage Docker
    #[command(subcommand)]
    System(system::System),
}

/// The verbs on containers, by themselves and after `container`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Attach local standard input, output, and error streams to a running container
    Attach(attach::Attach),
    /// Create a new image from a container's changes
    Commit(transfer::Commit),
    /// Copy files/folders between a container and the local filesystem
    Cp(copy::Copy),
    /// Create a new container
    #[command(disable_help_flag = true)]
    Create(create::Create),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(containers::Diff),
    /// Execute a command in a running container
    #[command(disable_help_flag = true)]
    Exec(exec::Exec),
    /// Export a container's filesystem as a tar archive
    Export(transfer::Export),
    /// Kill one or more running containers
    Kill(containers::Kill),
    /// Fetch the logs of a container
    Logs(logs::Logs),
    /// Pause all processes within one or more containers
    Pause(containers::Names),
    /// List port mappings or a specific mapping for the container
    Port(containers::Port),
    /// Rename a container
    Rename(containers::Rename),
    /// Restart one or more containers
    Restart(containers::Stop),
    /// Remove one or more containers
    Rm(containers::Remove),
    /// Create and run a new container from an image
    #[command(disable_help_flag = true)]
    Run(run::Run),
    /// Start one or more stopped containers
    Start(attach::Start),
    /// Display a live stream of container(s) resource usage statistics
    Stats(stats::Stats),
    /// Stop one or more running containers
    Stop(containers::Stop),
    /// Display the running processes of a container
    Top(containers::Top),
    /// Unpause all processes within one or more containers
    Unpause(containers::Names),
    /// Update configuration of one or more containers
    Update(containers::Update),
    /// Block until one or more containers stop, then print their exit codes
    Wait(containers::Names),
}

#[derive(Subcommand)]
pub(crate) enum Container {
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(list::Ps),
    /// Display detailed information on one or more containers
    Inspect(inspect::Typed),
    /// Remove all stopped containers
    Prune(system::Prune),
    #[command(flatten)]
    Verb(Box<Verb>),
}

#[derive(Subcommand)]
pub(crate) enum Image {
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Images),
    /// Display detailed information on one or more images
    Inspect(inspect::Typed),
    /// Remove unused images
    Prune(images::Prune),
    /// Remove one or more images
    Rm(images::Remove),
    /// Show the history of an image
    History(images::History),
    /// Import the contents from a tarball to create a filesystem image
    Import(transfer::Import),
    /// Load an image from a tar archive or STDIN
    Load(transfer::Load),
    /// Download an image from a registry
    Pull(transfer::Pull),
    /// Upload an image to a registry
    Push(transfer::Push),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(transfer::Save),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(images::Tag),
}

/// Carries out one command.
pub(crate) async fn run(command: Command, client: Client) -> Outcome {
    match command {
        Command::Verb(verb) => run_verb(*verb, client).await,
        Command::Build(command) => build::build(command, client).await,
        Command::Events(command) => events::events(command, client).await,
        Command::History(command) => images::history(command, client).await,
        Command::Images(command) => images::images(command, client).await,
        Command::Import(command) => transfer::import(command, client).await,
        Command::Info(command) => system::info(command, client).await,
        Command::Inspect(command) => inspect::inspect(command, client).await,
        Command::Load(command) => transfer::load(command, client).await,
        Command::Login(command) => login::login(command, client).await,
        Command::Logout(command) => login::logout(command, client).await,
        Command::Ps(command) => list::ps(command, client).await,
        Command::Pull(command) => transfer::pull(command, client).await,
        Command::Push(command) => transfer::push(command, client).await,
        Command::Rmi(command) => images::remove(command, client).await,
        Command::Save(command) => transfer::save(command, client).await,
        Command::Tag(command) => images::tag(command, client).await,
        Command::Version(command) => system::version(command, client).await,
        Command::Container(command) => match command {
            Container::Ls(command) => list::ps(command, client).await,
            Container::Inspect(command) => inspect::typed(command, client, "containers").await,
            Container::Prune(command) => system::prune_one(command, client, "containers").await,
            Container::Verb(verb) => run_verb(*verb, client).await,
        },
        Command::Image(command) => image(command, client).await,
        Command::Network(command) => networks::network(command, client).await,
        Command::Volume(command) => volumes::volume(command, client).await,
        Command::System(command) => system::system(command, client).await,
    }
}

async fn run_verb(verb: Verb, client: Client) -> Outcome {
    match verb {
        Verb::Attach(command) => attach::attach(command, client).await,
        Verb::Commit(command) => transfer::commit(command, client).await,
        Verb::Cp(command) => copy::copy(command, client).await,
        Verb::Create(command) => create::create(command, client).await,
        Verb::Diff(command) => containers::diff(command, client).await,
        Verb::Exec(command) => exec::exec(command, client).await,
        Verb::Export(command) => transfer::export(command, client).await,
        Verb::Kill(command) => containers::kill(command, client).await,
        Verb::Logs(command) => logs::logs(command, client).await,
        Verb::Pause(names) => containers::each(names, client, "pause").await,
        Verb::Port(command) => containers::port(command, client).await,
        Verb::Rename(command) => containers::rename(command, client).await,
        Verb::Restart(command) => containers::stop(command, client, "restart").await,
        Verb::Rm(command) => containers::remove(command, client).await,
        Verb::Run(command) => run::run(command, client).await,
        Verb::Start(command) => attach::start(command, client).await,
        Verb::Stats(command) => stats::stats(command, client).await,
        Verb::Stop(command) => containers::stop(command, client, "stop").await,
        Verb::Top(command) => containers::top(command, client).await,
        Verb::Unpause(names) => containers::each(names, client, "unpause").await,
        Verb::Update(command) => containers::update(command, client).await,
        Verb::Wait(names) => containers::wait(names, client).await,
    }
}

async fn image(command: Image, client: Client) -> Outcome {
    match command {
        Image::Ls(command) => images::images(command, client).await,
        Image::Inspect(command) => inspect::typed(command, client, "images").await,
        Image::Prune(command) => images::prune(command, client).await,
        Image::Rm(command) => images::remove(command, client).await,
        Image::History(command) => images::history(command, client).await,
        Image::Import(command) => transfer::import(command, client).await,
        Image::Load(command) => transfer::load(command, client).await,
        Image::Pull(command) => transfer::pull(command, client).await,
        Image::Push(command) => transfer::push(command, client).await,
        Image::Save(command) => transfer::save(command, client).await,
        Image::Tag(command) => images::tag(command, client).await,
    }
}

/// Does one thing for each name, prints the names that went well and every error, and fails if one failed.
async fn for_each<F>(names: &[String], mut one: impl FnMut(String) -> F) -> Outcome
where
    F: Future<Output = Result<(), RequestError>>,
{
    let mut failed = Vec::new();
    for name in names {
        match one(name.clone()).await {
            Ok(()) => println!("{name}"),
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(1, failed.join("\n"))) }
}

/// A text as one part of a path or the value of a query parameter.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `--filter key=value` texts as the `filters` parameter.
fn filters(texts: &[String]) -> anyhow::Result<String> {
    let mut filters = std::collections::BTreeMap::<String, Vec<&str>>::new();
    for text in texts {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            anyhow::anyhow!(
                "invalid argument {text:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            )
        })?;
        filters.entry(key.trim().to_lowercase()).or_default().push(value.trim());
    }
    Ok(escape(&serde_json::to_string(&filters)?))
}

/// The twelve digits that an id is shown with.
fn short_id(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// Seconds since the epoch, as the clock says.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
