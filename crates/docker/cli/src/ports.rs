//! Published ports: what `-p` says, and how `ps` and `port` show them.

use serde_json::{Map, Value, json};

/// Adds one `-p` text (`[ip:][host[-host]:]port[-port][/proto]`) to the exposed ports and bindings of a create body.
pub(crate) fn publish(
    text: &str,
    exposed: &mut Map<String, Value>,
    bindings: &mut Map<String, Value>,
) -> Result<(), String> {
    let invalid = |what: &str| format!("invalid {what}: {text}");
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (ip, host) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, host)) => (ip, host.strip_prefix(':').unwrap_or(host)),
        None => rest
            .rsplit_once(':')
            .unwrap_or_else(|| if rest.parse::<std::net::IpAddr>().is_ok() { (rest, "") } else { ("", rest) }),
    };
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let container = range(container).ok_or_else(|| invalid("containerPort"))?;
    let host = if host.is_empty() { None } else { Some(range(host).ok_or_else(|| invalid("hostPort"))?) };
    let (length, host_length) = (container.1 - container.0, host.map_or(0, |host| host.1 - host.0));
    if host.is_some() && host_length != length && length != 0 {
        return Err(format!("invalid ranges specified for container and host Ports: {text}"));
    }
    for offset in 0..=length {
        let port = format!("{}/{protocol}", container.0 + offset);
        let host_port = match host {
            None => String::new(),
            Some((first, last)) if length == 0 && last != first => format!("{first}-{last}"),
            Some((first, _)) => (first + offset).to_string(),
        };
        exposed.insert(port.clone(), json!({}));
        let list = bindings.entry(port).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!({ "HostIp": ip, "HostPort": host_port }));
        }
    }
    Ok(())
}

/// Adds one `--expose` text to the exposed ports.
pub(crate) fn expose(text: &str, exposed: &mut Map<String, Value>) -> Result<(), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range(ports).ok_or_else(|| format!("invalid range format for --expose: {text}"))?;
    exposed.extend((first..=last).map(|port| (format!("{port}/{}", protocol.to_lowercase()), json!({}))));
    Ok(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// The PORTS column of `ps` from the list's `Ports`, neighbours joined to ranges.
pub(crate) fn display(ports: &Value) -> String {
    let mut entries: Vec<(String, u64, Option<u64>, String)> = ports
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let text = |name: &str| port[name].as_str().unwrap_or("").to_string();
            (text("IP"), port["PrivatePort"].as_u64().unwrap_or(0), port["PublicPort"].as_u64(), text("Type"))
        })
        .collect();
    entries.sort_by(|a, b| (&a.3, &a.0, a.1, a.2).cmp(&(&b.3, &b.0, b.1, b.2)));
    let mut shown: Vec<(String, u64, u64, Option<u64>, String)> = Vec::new();
    for (ip, private, public, protocol) in entries {
        if let Some(last) = shown.last_mut()
            && last.0 == ip
            && last.4 == protocol
            && last.2 + 1 == private
            && last.3.map(|first| first + (private - last.1)) == public
        {
            last.2 = private;
            continue;
        }
        shown.push((ip, private, private, public, protocol));
    }
    let span = |first: u64, last: u64| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let lines = shown.iter().map(|(ip, first, last, public, protocol)| match public {
        None => format!("{}/{protocol}", span(*first, *last)),
        Some(public) => {
            let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
            format!("{ip}:{}->{}/{protocol}", span(*public, public + (last - first)), span(*first, *last))
        }
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn publishes(text: &str, expected: Value) {
        let (mut exposed, mut bindings) = (Map::new(), Map::new());
        publish(text, &mut exposed, &mut bindings).unwrap();
        assert_eq!(Value::Object(bindings), expected, "{text}");
    }

    #[test]
    fn every_form_of_publishing() {
        publishes("80", json!({"80/tcp": [{"HostIp": "", "HostPort": ""}]}));
        publishes("8080:80", json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}));
        publishes("127.0.0.1:8080:80/udp", json!({"80/udp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}));
        publishes("127.0.0.1::80", json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}));
        publishes("[::1]:8080:80", json!({"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}]}));
        publishes(
            "8000-8001:80-81",
            json!({"80/tcp": [{"HostIp": "", "HostPort": "8000"}], "81/tcp": [{"HostIp": "", "HostPort": "8001"}]}),
        );
        publishes("8000-8010:80", json!({"80/tcp": [{"HostIp": "", "HostPort": "8000-8010"}]}));
    }

    #[test]
    fn bad_ports_are_named() {
        let refused = |text| publish(text, &mut Map::new(), &mut Map::new()).unwrap_err();
        assert_eq!(refused("x:80"), "invalid hostPort: x:80");
        assert_eq!(refused("8080:70000"), "invalid containerPort: 8080:70000");
        assert_eq!(refused("80/icmp"), "invalid proto: icmp");
        assert_eq!(refused("1-3:80-81"), "invalid ranges specified for container and host Ports: 1-3:80-81");
    }

    #[test]
    fn ps_joins_neighbours() {
        let ports = json!([
            {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 8001, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8000, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8000, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ]);
        assert_eq!(display(&ports), "443/tcp, 0.0.0.0:8000-8001->80-81/tcp, [::]:8000->80/tcp");
    }
}
