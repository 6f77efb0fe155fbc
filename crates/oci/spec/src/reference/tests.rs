//! Tables of names with what Docker makes of them, and properties of every name.

use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(text: &str) -> String {
    match Reference::parse(text) {
        Ok(reference) => format!("{reference} {}", reference.familiar()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_are_completed_and_shortened() {
    let cases = [
        ("debian", "docker.io/library/debian debian"),
        ("debian:12", "docker.io/library/debian:12 debian:12"),
        ("library/debian", "docker.io/library/debian debian"),
        ("index.docker.io/me/web", "docker.io/me/web me/web"),
        ("docker.io/debian", "docker.io/library/debian debian"),
        ("docker.io/library/a/b", "docker.io/library/a/b library/a/b"),
        ("localhost/web", "localhost/web localhost/web"),
        ("127.0.0.1:5000/debian:12", "127.0.0.1:5000/debian:12 127.0.0.1:5000/debian:12"),
        ("[::1]:5000/a", "[::1]:5000/a [::1]:5000/a"),
        ("UPPER/foo", "UPPER/foo UPPER/foo"),
        ("Foo.com/a:B", "Foo.com/a:B Foo.com/a:B"),
        ("foo_bar.com/x", "foo_bar.com/x foo_bar.com/x"),
        ("foo:A_b.-", "docker.io/library/foo:A_b.- foo:A_b.-"),
        ("a--b/c__d", "docker.io/a--b/c__d a--b/c__d"),
    ];
    for (text, want) in cases {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn bad_names_get_dockers_texts() {
    let format = "invalid reference format";
    let cases = [
        ("", format),
        (":", format),
        ("foo:", format),
        ("foo:.a", format),
        ("foo:bar:baz", format),
        ("-foo", format),
        ("a//b", format),
        ("a___b", format),
        ("docker.io/foo/", format),
        ("a.b:/c", format),
        ("foo_bar.com:80/x", format),
        ("foo@sha256:abc", format),
        ("foo @", format),
        ("foö", format),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("UPPER/foo/Bar", "invalid reference format: repository name (foo/Bar) must be lowercase"),
        ("foo@md5:e3b0c44298fc1c149afbf4c8996fb92427", "unsupported digest algorithm"),
    ];
    for (text, want) in cases {
        assert_eq!(read(text), want, "{text}");
    }
    assert_eq!(read(HEX), format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"));
    assert_eq!(read(&format!("foo@sha256:{}", &HEX[1..])), "invalid checksum digest length");
    assert_eq!(read(&"a".repeat(256)), "repository name must not be more than 255 characters");
    assert_eq!(read(&format!("a:{}", "b".repeat(129))), format);
}

#[test]
fn tag_and_digest_are_told_apart() {
    let both = Reference::parse(&format!("web:2@sha256:{HEX}")).unwrap();
    assert_eq!(both.tag(), Some("2"));
    assert_eq!(both.digest().unwrap().hex(), HEX);
    assert_eq!(both.familiar(), format!("web:2@sha256:{HEX}"));
    assert_eq!(both.repository().familiar(), "web");
    assert_eq!(both.or_latest(), both);

    assert_eq!(Reference::from_parts("web", "2").unwrap().familiar(), "web:2");
    assert_eq!(Reference::from_parts("web", &format!("sha256:{HEX}")).unwrap(), both.with_digest(Digest::of(b"")));
    let name = Reference::parse("web").unwrap();
    assert_eq!(name.clone().or_latest().familiar(), "web:latest");
    assert_eq!(name.with_tag("3").unwrap().familiar(), "web:3");
    assert_eq!(name.with_tag("a/b"), Err(ReferenceError::Format));
    let pinned = both.with_digest(Digest::of(b""));
    assert_eq!(pinned.familiar(), format!("web@sha256:{HEX}"));
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_read_is_read_again(text in "\\PC{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference.clone());
        }
    }

    #[test]
    fn names_of_the_grammar_survive_both_forms(
        domain in "(|[a-z0-9]{1,8}\\.[a-z]{2,3}(:[0-9]{1,5})?/|localhost/)",
        path in "[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,9}){0,3}",
        tag in "(|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})",
    ) {
        let text = format!("{domain}{path}{tag}");
        prop_assume!(!is_id(&text));
        let reference = Reference::parse(&text).unwrap();
        prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
    }
}
