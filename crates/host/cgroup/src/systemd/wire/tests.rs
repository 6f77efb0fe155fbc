//! Messages against the specification's own words, and whatever bytes come.

use proptest::prelude::*;

use super::*;

fn call(body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let call = Call {
        serial: 1,
        destination: Some("org.freedesktop.DBus"),
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        signature: "",
    };
    call.message(body)
}

#[test]
fn a_call_is_laid_out_as_specified() {
    // The first message of every client of a bus, as dbus-monitor shows it.
    let expected = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00\
        \x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00\
        \x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\
        \x03\x01s\x00\x05\x00\x00\x00Hello\x00\x00\x00\
        \x06\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00";
    assert_eq!(call(|_| {}), expected);
}

#[test]
fn values_are_aligned_and_arrays_know_their_length() {
    let mut writer = Writer::default();
    writer.byte(1);
    writer.u64(2);
    writer.array(8, |list| {
        list.align(8);
        list.string("a");
    });
    assert_eq!(writer.0.len(), 16 + 4 + 4 + 6);
    assert_eq!(writer.0[16..20], 6u32.to_le_bytes());
}

#[test]
fn what_is_written_is_read() {
    let message = call(|body| {
        body.u32(7);
        body.string("/job/1");
    });
    let (head, rest_bytes) = message.split_first_chunk::<HEAD>().unwrap();
    assert_eq!(rest(head).unwrap(), rest_bytes.len());
    let heard = Heard::parse(head, rest_bytes).unwrap();
    assert_eq!((heard.kind, heard.member.as_str()), (Kind::Other, "Hello"));
    let mut reader = heard.reader();
    assert_eq!((reader.u32().unwrap(), reader.string().unwrap().as_str()), (7, "/job/1"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(head: [u8; HEAD], rest_bytes in proptest::collection::vec(any::<u8>(), 0..200), fields in 0u32..100) {
        let mut head = head;
        head[0] = b'l';
        head[12..16].copy_from_slice(&fields.to_le_bytes());
        let _ = rest(&head);
        if let Ok(heard) = Heard::parse(&head, &rest_bytes) {
            let mut reader = heard.reader();
            while reader.string().is_ok() && reader.u32().is_ok() {}
        }
    }
}
