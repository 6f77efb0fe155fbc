//! Figures as Prometheus' text: one family after the other, each with its kind in front.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

/// Families by name; samples in the order in which they were added.
#[derive(Default)]
pub struct Text {
    families: BTreeMap<&'static str, (&'static str, &'static str, String)>,
}

impl Text {
    /// What only grows.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
        at: Option<Timestamp>,
    ) {
        self.sample(name, "counter", help, labels, value, at);
    }

    /// What goes up and down.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
        at: Option<Timestamp>,
    ) {
        self.sample(name, "gauge", help, labels, value, at);
    }

    fn sample(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
        at: Option<Timestamp>,
    ) {
        let (_, _, samples) = self.families.entry(name).or_insert_with(|| (kind, help, String::new()));
        samples.push_str(name);
        if !labels.is_empty() {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            // writing to a string cannot fail
            let _ = write!(samples, "{{{}}}", labels.join(","));
        }
        let _ = write!(samples, " {value}");
        if let Some(at) = at {
            let _ = write!(samples, " {}", at.as_millisecond());
        }
        samples.push('\n');
    }

    /// All of it.
    pub fn finish(self) -> String {
        let mut out = String::new();
        for (name, (kind, help, samples)) in self.families {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        out
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_together() {
        let mut text = Text::default();
        text.gauge("b", "second", &[], 0.5, None);
        text.counter("a_total", "first", &[("pod", "x\"y")], 3.0, Some(Timestamp::UNIX_EPOCH));
        text.gauge("b", "second", &[("n", "1")], 2.0, None);
        let wanted = "# HELP a_total first\n# TYPE a_total counter\na_total{pod=\"x\\\"y\"} 3 0\n# HELP b second\n# TYPE b gauge\nb 0.5\nb{n=\"1\"} 2\n";
        assert_eq!(text.finish(), wanted);
    }
}
