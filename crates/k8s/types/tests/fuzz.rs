//! The bodies of the fuzz targets on stable, with random bytes and with documents that were damaged.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;

/// What a target does with its input.
type Body = fn(&[u8]);

const BODIES: &[(&str, Body)] = &[
    ("decode_json", bodies::decode_json),
    ("decode_yaml", bodies::decode_yaml),
    ("decode_protobuf", bodies::decode_protobuf),
    ("json_patch", bodies::json_patch),
    ("merge_patch", bodies::merge_patch),
    ("strategic_patch", bodies::strategic_patch),
    ("managed", bodies::managed),
    ("field_set", bodies::field_set),
    ("selectors", bodies::selectors),
    ("quantity", bodies::quantity),
    ("cel", bodies::cel),
];

const SEEDS: &[&[u8]] = &[
    br#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"b"}},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]}}}}"#,
    b"{\"spec\":{\"replicas\":1},\"metadata\":{\"finalizers\":[\"a/b\"]}}\0{\"spec\":{\"replicas\":null,\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"$patch\":\"delete\"}]}}}}",
    b"{\"a\":[1,2]}\0[{\"op\":\"add\",\"path\":\"/a/-1\",\"value\":3},{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
    b"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3, paused: true}\nmetadata:\n  name: &n x\n",
    br#"{"f:spec":{".":{},"f:containers":{"k:{\"name\":\"x\"}":{".":{},"f:image":{}}}}}"#,
    b"app in (a,b),!c,d!=e,n>5",
    b"1.5Gi",
    b"self.b.all(x, x.size() < 3) && self.a in [1, 2] ? 'x' + self.c.d : ''",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        BODIES.iter().for_each(|(_, body)| body(&bytes));
    }

    #[test]
    fn damaged_documents_do_no_harm(seed in 0..SEEDS.len(), at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = SEEDS[seed].to_vec();
        for (index, byte) in at {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        BODIES.iter().for_each(|(_, body)| body(&bytes));
        bytes.truncate(cut.index(bytes.len()));
        BODIES.iter().for_each(|(_, body)| body(&bytes));
    }
}

#[test]
fn every_body_has_a_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
    for (name, body) in BODIES {
        SEEDS.iter().for_each(|seed| body(seed));
        assert!(std::path::Path::new(folder).join(format!("{name}.rs")).is_file(), "{name}");
    }
}
