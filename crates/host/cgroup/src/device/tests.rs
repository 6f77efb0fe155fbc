//! What v1 is told.

use super::*;

fn rule(text: &str) -> DeviceRule {
    let words: Vec<&str> = text.split(' ').collect();
    let (major, minor) = words[2].split_once(':').unwrap();
    DeviceRule {
        allow: words[0] == "allow",
        kind: match words[1] {
            "b" => DeviceType::Block,
            "c" => DeviceType::Char,
            _ => DeviceType::All,
        },
        major: major.parse().ok(),
        minor: minor.parse().ok(),
        access: Access::parse(words[3]).unwrap(),
    }
}

fn lines(rules: &[&str]) -> Vec<String> {
    let rules: Vec<DeviceRule> = rules.iter().map(|text| rule(text)).collect();
    let lines = v1_lines(&rules).unwrap();
    lines.into_iter().map(|(file, value)| format!("{file} {value}")).collect()
}

#[test]
fn allowed_devices_are_exceptions_from_a_denial() {
    assert_eq!(
        lines(&["deny a *:* rwm", "allow c 1:3 rwm", "deny c 10:229 rwm", "allow c *:* m"]),
        ["devices.deny a", "devices.allow c 1:3 rwm", "devices.allow c *:* m"].map(str::to_owned),
    );
}

#[test]
fn a_privileged_group_is_told_once() {
    assert_eq!(lines(&["deny a *:* rwm", "allow c 1:3 r", "allow a *:* rwm"]), ["devices.allow a"]);
}

#[test]
fn both_kinds_are_told_apart() {
    assert_eq!(
        lines(&["deny a *:* rwm", "allow a 7:* r"]),
        ["devices.deny a", "devices.allow b 7:* r", "devices.allow c 7:* r"],
    );
}

#[test]
fn what_was_allowed_can_be_taken_back() {
    assert_eq!(
        lines(&["deny a *:* rwm", "allow c 5:1 rwm", "deny c 5:* w"]),
        ["devices.deny a", "devices.allow c 5:1 rm"],
    );
}

#[test]
fn holes_that_v1_cannot_have_are_refused() {
    let rules = [rule("deny a *:* rwm"), rule("allow c 5:* rwm"), rule("deny c 5:1 rwm")];
    let error = v1_lines(&rules).unwrap_err().to_string();
    assert_eq!(
        error,
        "device rule deny c 5:1 rwm is not supported by this host: cgroup v1 cannot make an exception from an exception"
    );
}
