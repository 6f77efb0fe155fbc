//! What `--format` texts render to.

use super::Template;
use serde_json::json;

#[track_caller]
fn renders(text: &str, expected: &str) {
    let value = json!({
        "ID": "abc", "Names": ["/web", "/db"], "Config": {"Env": ["A=1", "B=2"], "Tty": false}, "Size": 1200,
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}}, "Nothing": null,
    });
    assert_eq!(Template::parse(text).unwrap().render(&value).unwrap(), expected, "{text}");
}

#[track_caller]
fn refuses(text: &str, expected: &str) {
    let error = match Template::parse(text) {
        Err(error) => error,
        Ok(template) => template.render(&json!({"ID": "abc", "Names": []})).unwrap_err(),
    };
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn fields_and_functions() {
    renders("{{.ID}}", "abc");
    renders("{{.Config.Env}}", "[A=1 B=2]");
    renders("{{json .Names}}", r#"["/web","/db"]"#);
    renders("{{.Names | json}} {{upper .ID}}", r#"["/web","/db"] ABC"#);
    renders("{{join .Names \", \"}}", "/web, /db");
    renders("{{index .Names 1}} {{len .Names}}", "/db 2");
    renders("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080");
    renders("{{printf \"%-5s|%3d\" .ID 7}}", "abc  |  7");
    renders("{{.Nothing}}", "<no value>");
    renders(r"{{.ID}}\t{{.Size}}", "abc\t1200");
}

#[test]
fn control_flow() {
    renders("{{range .Names}}<{{.}}>{{end}}", "</web></db>");
    renders("{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=/web 1=/db ");
    renders("{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}", "80/tcp -> 8080");
    renders("{{if .Config.Tty}}tty{{else if eq .ID \"abc\"}}abc{{else}}no{{end}}", "abc");
    renders("{{with .Nothing}}x{{else}}none{{end}}", "none");
    renders("{{range .Names -}}  a {{- end}}!", "aa!");
    renders("{{$x := .ID}}{{range .Names}}{{$x}}{{$.Size}}{{end}}", "abc1200abc1200");
    renders("{{if and (gt .Size 1000) (not .Config.Tty)}}big{{end}}", "big");
}

#[test]
fn errors_name_the_place() {
    refuses("{{.ID", "template parsing error: template: :1: unclosed action");
    refuses("{{range .Names}}", "template parsing error: template: :1: unexpected EOF in range");
    refuses("{{.Missing}}", "template: :1: executing \"\" at <.Missing>: map has no entry for key \"Missing\"");
    refuses("{{nope .ID}}", "template: :1: executing \"\" at <nope .ID>: function \"nope\" not defined");
    refuses(
        "{{index .Names 3}}",
        "template: :1: executing \"\" at <index .Names 3>: error calling index: index out of range: 3",
    );
}
