//! The texts of refusals, and the expressions they quote (which are told, not run).

pub(super) const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
pub(super) const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
pub(super) const SUBDOMAIN_UNDERSCORE: &str = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
pub(super) const WILDCARD: &str = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
pub(super) const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
pub(super) const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
pub(super) const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
pub(super) const C_IDENTIFIER: &str = "[A-Za-z_][A-Za-z0-9_]*";
pub(super) const PERCENT: &str = "[0-9]+%";
pub(super) const HEADER: &str = "[-A-Za-z0-9]+";
pub(super) const ENV: &str = "[-._a-zA-Z][-._a-zA-Z0-9]*";
pub(super) const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

/// `<what> (e.g. 'a',  or 'b', regex used for validation is '<expression>')`
pub(super) fn expression(what: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{what} (regex used for validation is '{expression}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{expression}')", examples.join(" or "))
}

pub(super) fn no_longer_than(bytes: usize) -> String {
    format!("must be no more than {bytes} bytes")
}

/// The older wording of the same limit.
pub(super) fn no_longer_than_characters(characters: usize) -> String {
    format!("must be no more than {characters} characters")
}

pub(super) fn between(least: i64, most: i64) -> String {
    format!("must be between {least} and {most}, inclusive")
}
