//! Requests compared byte for byte.

use super::*;

const PORTS: SetSpec =
    SetSpec::map("ports", &[DataType::InetProto, DataType::InetService], &[DataType::Ipv4Addr, DataType::InetService]);
const LOCAL: SetSpec = SetSpec::ranges("local", &[DataType::IfName, DataType::Ipv4Addr]);

fn attribute(body: &[u8], path: &[u16]) -> Vec<u8> {
    let (first, rest) = path.split_first().expect("a path");
    let found = attributes(body).find(*first).unwrap_or_else(|| panic!("no attribute {first} in {body:?}"));
    if rest.is_empty() { found.to_vec() } else { attribute(found, rest) }
}

#[test]
fn a_batch_is_marked_for_nf_tables() {
    assert_eq!((batch_begin().kind, batch_begin().body), (16, vec![0, 0, 0, 10]));
    assert_eq!((batch_end().kind, batch_end().body), (17, vec![0, 0, 0, 10]));
}

#[test]
fn a_table_is_its_family_and_name() {
    let request = Table::new(Family::Inet, "t").add();
    assert_eq!(request.kind, 0x0a00);
    assert_eq!(request.body, [1, 0, 0, 0, 6, 0, 1, 0, b't', 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0]);
}

#[test]
fn a_base_chain_has_hook_priority_policy_and_type() {
    let base = Base { kind: ChainType::Nat, hook: Hook::Prerouting, priority: -100 };
    let body = Table::new(Family::Inet, "t").add_chain("pre", Some(base)).body;
    let body = &body[4..];
    assert_eq!(attribute(body, &[3]), b"pre\0");
    assert_eq!(attribute(body, &[4, 1]), 0u32.to_be_bytes());
    assert_eq!(attribute(body, &[4, 2]), (-100i32).to_be_bytes());
    assert_eq!(attribute(body, &[7]), b"nat\0");
}

#[test]
fn a_map_of_concatenations_has_padded_lengths() {
    let body = Table::new(Family::Inet, "t").add_set(&PORTS).body;
    let body = &body[4..];
    assert_eq!(attribute(body, &[3]), F_MAP.to_be_bytes());
    assert_eq!(attribute(body, &[4]), (12u32 << 6 | 13).to_be_bytes());
    assert_eq!(attribute(body, &[5]), 8u32.to_be_bytes());
    assert_eq!(attribute(body, &[6]), (7u32 << 6 | 13).to_be_bytes());
    assert_eq!(attribute(body, &[7]), 8u32.to_be_bytes());
}

#[test]
fn a_set_of_ranges_describes_its_fields() {
    let body = Table::new(Family::Inet, "t").add_set(&LOCAL).body;
    let body = &body[4..];
    assert_eq!(attribute(body, &[3]), 0x84u32.to_be_bytes());
    assert_eq!(attribute(body, &[9, 2, 1, 1]), 16u32.to_be_bytes());
}

#[test]
fn a_map_that_rules_write_has_a_size_and_ends() {
    let spec = SetSpec { dynamic: Some(99), ..PORTS };
    let body = Table::new(Family::Inet, "t").add_set(&spec).body;
    assert_eq!(attribute(&body[4..], &[3]), 0x38u32.to_be_bytes());
    assert_eq!(attribute(&body[4..], &[9, 1]), 99u32.to_be_bytes());
}

#[test]
fn elements_come_back_as_they_were_written() {
    let element = Element::key(&[&[6], &[0, 80]]).with_data(&[&[172, 17, 0, 2], &[0, 80]]);
    assert_eq!(element.key, [6, 0, 0, 0, 0, 80, 0, 0]);
    assert_eq!(element.data.as_deref(), Some(&[172, 17, 0, 2, 0, 80, 0, 0][..]));
    let ranged = Element::key(&[b"br0\0\0\0\0\0\0\0\0\0\0\0\0\0", &[10, 0, 0, 0]])
        .to(&[b"br0\0\0\0\0\0\0\0\0\0\0\0\0\0", &[10, 0, 0, 255]]);
    let deciding = Element::key(&[&[6]]).deciding(Verdict::Goto("web".to_owned()));
    for element in [element, ranged, Element::end_before(&[&[10, 0, 1, 0]]), deciding] {
        let mut out = Writer::default();
        element.write(&mut out);
        assert_eq!(Element::read(&out.0), Some(element));
    }
}

#[test]
fn many_elements_go_in_several_messages() {
    let elements: Vec<_> = (0..1000u16).map(|port| Element::key(&[&[6], &port.to_be_bytes()])).collect();
    let requests = Table::new(Family::Inet, "t").add_elements(&PORTS, &elements);
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.body.len() < 65_000));
}

#[test]
fn a_rule_lists_named_expressions() {
    let rule = [
        Expr::Meta { key: MetaKey::InName, to: reg::at(0) },
        Expr::Lookup { set: "bridges".to_owned(), from: reg::at(0), present: false },
        Expr::Verdict(Verdict::Jump("next".to_owned())),
    ];
    let body = Table::new(Family::Inet, "t").add_rule("c", &rule).body;
    let list = attribute(&body[4..], &[4]);
    let exprs: Vec<_> = attributes(&list).map(|(_, expr)| attribute(expr, &[1])).collect();
    assert_eq!(exprs, [b"meta\0".to_vec(), b"lookup\0".to_vec(), b"immediate\0".to_vec()]);
    let data: Vec<_> = attributes(&list).map(|(_, expr)| attribute(expr, &[2])).collect();
    assert_eq!(attribute(&data[0], &[2]), 6u32.to_be_bytes());
    assert_eq!(attribute(&data[1], &[5]), 1u32.to_be_bytes(), "inverted");
    assert_eq!(attribute(&data[2], &[2, 2, 1]), (-3i32).to_be_bytes());
    assert_eq!(attribute(&data[2], &[2, 2, 2]), b"next\0");
}

const F_MAP: u32 = 8;
