//! Frames there and back, in any pieces; bytes that are none.

use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use k8s_stream::websocket::frame::*;
use k8s_stream::websocket::handshake;

/// All events of bytes that come in pieces of `piece` bytes.
fn decode(role: Role, bytes: &[u8], piece: usize) -> Result<Vec<Event>, ProtocolError> {
    let mut decoder = Decoder::new(role);
    let mut events = Vec::new();
    for bytes in bytes.chunks(piece.max(1)) {
        decoder.buffer().put_slice(bytes);
        while let Some(event) = decoder.event()? {
            events.push(event);
        }
    }
    Ok(events)
}

/// Messages put together from their pieces, as text or not, and the control frames between them.
fn whole(events: Vec<Event>) -> Vec<Event> {
    let mut out = Vec::new();
    let mut message = Vec::new();
    for event in events {
        match event {
            Event::Data { text, last, payload, .. } => {
                message.extend_from_slice(&payload);
                if last {
                    let payload = Bytes::from(std::mem::take(&mut message));
                    out.push(Event::Data { text, first: true, last: true, payload });
                }
            }
            control => out.push(control),
        }
    }
    out
}

#[test]
fn the_handshake_is_that_of_the_standard() {
    let request = http::Request::get("/")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "WebSocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap();
    assert!(handshake::is_asked(request.headers()));
    let response = handshake::answer(&request, "chat").unwrap();
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
}

#[test]
fn examples_of_the_standard_are_read() {
    let hello = |text| vec![Event::Data { text, first: true, last: true, payload: Bytes::from_static(b"Hello") }];
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(decode(Role::Client, &unmasked, 99).unwrap(), hello(true));
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(Role::Server, &masked, 99).unwrap(), hello(true));
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x00, 0x80, 0x02, 0x6c, 0x6f];
    let events = whole(decode(Role::Client, &fragments, 99).unwrap());
    assert_eq!(events, [vec![Event::Ping(Bytes::new())], hello(true)].concat());
}

#[test]
fn what_breaks_the_standard_is_refused() {
    use ProtocolError::*;
    for (bytes, error) in [
        (&[0xc1, 0x80][..], Reserved),
        (&[0x83, 0x80], Opcode(3)),
        (&[0x81, 0x05], Masking),
        (&[0x09, 0x80], Control),
        (&[0x89, 0xfe, 0x01, 0x00], Control),
        (&[0x82, 0xfe, 0x00, 0x7d], Length),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Length),
        (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Length),
        (&[0x80, 0x80, 0, 0, 0, 0], Order),
        (&[0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0], Order),
        (&[0x88, 0x81, 0, 0, 0, 0, 1], Close),
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], Close),
    ] {
        assert_eq!(decode(Role::Server, bytes, 99).unwrap_err(), error, "{bytes:?}");
    }
}

fn event() -> impl Strategy<Value = (Event, Vec<usize>)> {
    let payload = prop::collection::vec(any::<u8>(), 0..200_000).prop_map(Bytes::from);
    let data = (any::<bool>(), payload, prop::collection::vec(0usize..70_000, 0..4))
        .prop_map(|(text, payload, cuts)| (Event::Data { text, first: true, last: true, payload }, cuts));
    let short = prop::collection::vec(any::<u8>(), 0..126).prop_map(Bytes::from);
    prop_oneof![
        data,
        short.clone().prop_map(|payload| (Event::Ping(payload), Vec::new())),
        short.prop_map(|payload| (Event::Pong(payload), Vec::new())),
        Just((Event::Close(Some(1000)), Vec::new())),
    ]
}

fn write((event, cuts): &(Event, Vec<usize>), mask: Mask) -> Vec<u8> {
    match event {
        Event::Ping(payload) => encode(Opcode::Ping, &[payload], mask).to_vec(),
        Event::Pong(payload) => encode(Opcode::Pong, &[payload], mask).to_vec(),
        Event::Close(code) => encode_close(code.unwrap_or(1000), "bye", mask).to_vec(),
        Event::Data { text, payload, .. } => {
            let mut opcode = if *text { Opcode::Text } else { Opcode::Binary };
            let (mut rest, mut out) = (&payload[..], Vec::new());
            for cut in cuts {
                let (part, more) = rest.split_at((*cut).min(rest.len()));
                out.extend_from_slice(&encode_part(opcode, false, &[part], mask));
                (rest, opcode) = (more, Opcode::Continuation);
            }
            out.extend_from_slice(&encode_part(opcode, true, &[rest], mask));
            out
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(event(), 1..4), key in any::<[u8; 4]>(), piece in 1usize..100_000) {
        for (role, mask) in [(Role::Server, Mask::Key(key)), (Role::Client, Mask::None)] {
            let bytes: Vec<u8> = events.iter().flat_map(|event| write(event, mask)).collect();
            let wanted: Vec<Event> = events.iter().map(|(event, _)| event.clone()).collect();
            prop_assert_eq!(whole(decode(role, &bytes, piece).unwrap()), wanted);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_however_they_come(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..50) {
        for role in [Role::Server, Role::Client] {
            let at_once = decode(role, &bytes, usize::MAX).map(whole);
            let in_pieces = decode(role, &bytes, piece).map(whole);
            if at_once.is_ok() || in_pieces.is_ok() {
                prop_assert_eq!(at_once, in_pieces);
            }
        }
    }
}
