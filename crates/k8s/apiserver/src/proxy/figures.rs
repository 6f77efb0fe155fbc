//! Reads what a kubelet's `/metrics/resource` says.

use std::collections::HashMap;

/// A counter of processor time and an amount of memory, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Milliseconds since 1970.
    pub at: i64,
    pub cpu_seconds: f64,
    /// Bytes.
    pub memory: f64,
    /// When it began, in milliseconds since 1970; 0 where that is not known.
    pub started: i64,
}

/// Containers of a pod by name.
pub type Containers = HashMap<String, Reading>;

/// What a node says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    pub node: Option<Reading>,
    /// By namespace and name.
    pub pods: HashMap<(String, String), Containers>,
}

/// Reads the text; `now` is the time of samples that have none.
pub fn read(text: &str, now: i64) -> Figures {
    let mut figures = Figures::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels, value, at)) = sample(line) else { continue };
        let label = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
        let reading = match (label("container"), label("pod"), label("namespace")) {
            (Some(container), Some(pod), Some(namespace)) if name.starts_with("container_") => {
                figures.pods.entry((namespace, pod)).or_default().entry(container).or_default()
            }
            _ if name.starts_with("node_") => figures.node.get_or_insert_default(),
            _ => continue,
        };
        match name {
            "container_cpu_usage_seconds_total" | "node_cpu_usage_seconds_total" => {
                (reading.cpu_seconds, reading.at) = (value, at.unwrap_or(now));
            }
            "container_memory_working_set_bytes" | "node_memory_working_set_bytes" => reading.memory = value,
            "container_start_time_seconds" => reading.started = (value * 1e3) as i64,
            _ => {}
        }
    }
    figures
}

type Sample<'a> = (&'a str, Vec<(&'a str, String)>, f64, Option<i64>);

/// `name{label="value",…} value time`
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.trim_start_matches([',', ' ']).split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label, value));
            rest = after;
        }
        rest = &rest[1..];
    }
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    Some((name, labels, value, words.next().and_then(|at| at.parse().ok())))
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kubelet_says_is_read() {
        let text = "# TYPE container_cpu_usage_seconds_total counter\n\
            container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\\\"}\"} 4.5 1000\n\
            container_memory_working_set_bytes{container=\"c\",namespace=\"n\",pod=\"p\\\"}\"} 1.5e+06 1000\n\
            container_start_time_seconds{container=\"c\",namespace=\"n\",pod=\"p\\\"}\"} 0.5\n\
            node_cpu_usage_seconds_total 7\nnode_memory_working_set_bytes 8 9\nother{a=\"b\"} 1\nbroken{a=\nbroken";
        let figures = read(text, 42);
        let container = Reading { at: 1000, cpu_seconds: 4.5, memory: 1.5e6, started: 500 };
        assert_eq!(figures.pods[&("n".to_owned(), "p\"}".to_owned())]["c"], container);
        assert_eq!(figures.node, Some(Reading { at: 42, cpu_seconds: 7.0, memory: 8.0, started: 0 }));
    }
}
