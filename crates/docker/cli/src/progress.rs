//! The progress of pull, push, load and import, as lines or as bars that move.

use crate::connection::Answer;
use crate::stream;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{IsTerminal, Write};

/// Shows a progress stream until it ends; the daemon's error in it is returned.
pub(crate) async fn show(answer: Answer, quiet: bool) -> anyhow::Result<()> {
    let moving = std::io::stdout().is_terminal();
    let mut layers = Layers::default();
    stream::json_values(answer, |message| {
        if let Some(error) = message["errorDetail"]["message"].as_str().or(message["error"].as_str()) {
            anyhow::bail!("{error}");
        }
        if !quiet {
            layers.message(&message, moving);
        }
        Ok(())
    })
    .await
}

/// Which line of the screen belongs to which layer.
#[derive(Default)]
struct Layers {
    lines: HashMap<String, usize>,
    told: HashMap<String, String>,
}

impl Layers {
    fn message(&mut self, message: &Value, moving: bool) {
        let text = |name: &str| message[name].as_str().unwrap_or("");
        if let Some(text) = message["stream"].as_str() {
            print!("{text}");
            let _ = std::io::stdout().flush();
            return;
        }
        let (id, status) = (text("id"), text("status"));
        if id.is_empty() {
            self.lines.clear();
            println!("{status}");
        } else if moving {
            self.bar(id, status, text("progress"));
        } else if message["progressDetail"]["current"].is_null()
            && self.told.get(id).map(String::as_str) != Some(status)
        {
            self.told.insert(id.into(), status.into());
            println!("{id}: {status}");
        }
    }

    /// Rewrites the layer's line above the cursor, which stays below all of them.
    fn bar(&mut self, id: &str, status: &str, progress: &str) {
        let count = self.lines.len();
        let at = *self.lines.entry(id.into()).or_insert(count);
        if at == count {
            println!("{id}: {status} {progress}");
            return;
        }
        let up = count - at;
        print!("\x1b[{up}A\x1b[2K\r{id}: {status} {progress}\r\x1b[{up}B");
        let _ = std::io::stdout().flush();
    }
}
