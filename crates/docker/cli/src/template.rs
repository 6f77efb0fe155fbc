//! The part of Go's text/template that `--format` needs: fields, pipelines, if, range, with, variables and docker's functions.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// A parsed `--format` text, ready to be rendered for any number of values.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<parse::Node>,
}

/// What is wrong with a template: its text or a value it is applied to.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text does not follow the grammar.
    #[error("template parsing error: template: :1: {0}")]
    Parse(String),
    /// The value does not have what the template asks for.
    #[error("template: :1: executing \"\" at <{at}>: {why}")]
    Execute {
        /// The expression that failed.
        at: String,
        /// Why it failed.
        why: String,
    },
}

impl Template {
    /// Parses `text`; the escapes `\t` and `\n` stand for a tabulator and a new line, as docker reads them.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Template { nodes: parse::parse(&text)? })
    }

    /// Renders the template for `value`.
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, value)
    }
}
