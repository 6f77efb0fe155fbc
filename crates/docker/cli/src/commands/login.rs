//! `login` and `logout`: credentials for registries.

use crate::connection::Client;
use crate::{Failure, Outcome, config::Config};
use clap::Args;
use serde_json::json;
use std::io::{BufRead, Read, Write};

#[derive(Args)]
pub(crate) struct Login {
    /// Password
    #[arg(short = 'p', long)]
    password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(short = 'u', long)]
    username: Option<String>,
    server: Option<String>,
}

#[derive(Args)]
pub(crate) struct Logout {
    server: Option<String>,
}

pub(super) async fn login(command: Login, client: Client) -> Outcome {
    let server = command.server.unwrap_or_default();
    let username = match command.username {
        Some(name) => name,
        None if command.password_stdin => {
            return Err(Failure::new(1, "the --password-stdin option requires --username to be set"));
        }
        None => ask("Username: ")?,
    };
    let password = match command.password {
        Some(password) => password,
        None if command.password_stdin => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text.trim_end_matches(['\r', '\n']).to_string()
        }
        None => ask_silently("Password: ")?,
    };
    let body = json!({ "username": username, "password": password, "serveraddress": server });
    let answer = client.post("/auth", Some(&body)).await?;
    Config::load(Some(&client.config().dir), None, Some("unix://"))?
        .store_credentials(&server, Some(&format!("{username}:{password}")))?;
    println!("{}", answer["Status"].as_str().unwrap_or("Login Succeeded"));
    Ok(())
}

pub(super) async fn logout(command: Logout, client: Client) -> Outcome {
    let server = command.server.unwrap_or_default();
    println!(
        "Removing login credentials for {}",
        if server.is_empty() { "https://index.docker.io/v1/" } else { &server }
    );
    Config::load(Some(&client.config().dir), None, Some("unix://"))?.store_credentials(&server, None)?;
    Ok(())
}

fn ask(question: &str) -> anyhow::Result<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

/// Asks without showing what is typed, where standard input is a terminal.
fn ask_silently(question: &str) -> anyhow::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let Ok(saved) = tcgetattr(std::io::stdin()) else { return ask(question) };
    let mut silent = saved.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &silent)?;
    let answer = ask(question);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &saved)?;
    println!();
    answer
}
