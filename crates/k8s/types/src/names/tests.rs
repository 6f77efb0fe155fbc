//! Names that are good and refusals in Kubernetes' words; the walks agree with the expressions they quote.

use super::*;
use proptest::prelude::*;
use regex::Regex;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
                     with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn refusals_are_in_kubernetes_words() {
    assert_eq!(dns1123_subdomain("Bad_Name"), [SUBDOMAIN]);
    assert_eq!(dns1123_label("-x"), [LABEL]);
    assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    assert_eq!(label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    assert_eq!(path_segment(".."), ["may not be '..'"]);
    assert_eq!(path_segment("a/b%"), ["may not contain '/'", "may not contain '%'"]);
    assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    assert_eq!(config_map_key(".."), ["must not be '..'"]);
    assert_eq!(label_key("/x"), ["prefix part must be non-empty"]);
    assert_eq!(label_key("a/b/c").len(), 1);
    assert!(label_key("").contains(&"name part must be non-empty".to_owned()));
    assert_eq!(
        port_name("A--"),
        [
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            "must contain at least one letter (a-z)",
            "must not contain consecutive hyphens",
            "must not begin or end with a hyphen",
        ]
    );
}

#[test]
fn good_names_are_let_through() {
    for name in ["a", "a-b", "1", "example.com", "a.1-2.c"] {
        assert!(dns1123_subdomain(name).is_empty(), "{name}");
    }
    for key in ["app", "app.kubernetes.io/name", "A_b.c-1"] {
        assert!(label_key(key).is_empty(), "{key}");
    }
    assert!(wildcard_dns1123_subdomain("*.a.b").is_empty());
    assert!(prefix(dns1123_subdomain, "web-").is_empty());
    assert!(prefix(dns1123_subdomain, "-").len() == 1 && prefix(dns1123_label, "é-").len() == 1);
    assert!(percent("5%").is_empty() && !percent("%").is_empty());
}

#[test]
fn annotations_are_bounded_together() {
    let annotations = Map::from_iter([("UPPER/key".to_owned(), Value::from("x".repeat(MOST_ANNOTATION_BYTES)))]);
    let errors = check_annotations(&annotations, &Path::new("metadata").child("annotations"));
    assert_eq!(errors.to_string(), "metadata.annotations: Too long: may not be more than 262144 bytes");
}

proptest! {
    #[test]
    fn walks_agree_with_their_expressions(name in "[-a-z0-9._/*A%]{0,8}") {
        for (rule, expression) in [
            (dns1123_label as Rule, text::LABEL),
            (dns1123_subdomain, text::SUBDOMAIN),
            (dns1123_subdomain_underscore, text::SUBDOMAIN_UNDERSCORE),
            (wildcard_dns1123_subdomain, text::WILDCARD),
            (dns1035_label, text::LABEL_1035),
            (label_value, text::LABEL_VALUE),
            (percent, text::PERCENT),
            (http_header_name, text::HEADER),
            (c_identifier, text::C_IDENTIFIER),
        ] {
            let matches = Regex::new(&format!("^(?:{expression})$")).unwrap().is_match(&name);
            prop_assert_eq!(rule(&name).is_empty(), matches, "{} {}", name, expression);
        }
    }
}
