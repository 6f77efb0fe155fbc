//! Frames and header blocks: there and back, bytes that are none, streams that are refused.

use bytes::{BufMut, Bytes};
use k8s_stream::spdy::connection::{Connection, Side};
use k8s_stream::spdy::frame::{self, Decoder, Event, ProtocolError};
use k8s_stream::spdy::headers;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::all;

fn decode(bytes: &[u8], piece: usize) -> Result<Vec<Event>, ProtocolError> {
    let mut decoder = Decoder::default();
    let mut events: Vec<Event> = Vec::new();
    for bytes in bytes.chunks(piece.max(1)) {
        decoder.buffer().put_slice(bytes);
        while let Some(event) = decoder.event()? {
            match (events.last_mut(), event) {
                // data is handed on as it comes
                (Some(Event::Data { stream, last, payload }), Event::Data { stream: s, last: l, payload: p })
                    if *stream == s && !*last =>
                {
                    *payload = [&payload[..], &p].concat().into();
                    *last = l;
                }
                (_, event) => events.push(event),
            }
        }
    }
    Ok(events)
}

#[test]
fn header_blocks_begin_with_the_drafts_dictionary() {
    let block = headers::Writer::default().write(&[("streamtype", "error")]);
    // zlib with a preset dictionary whose checksum is that of the draft's
    assert_eq!(block[1] & 0x20, 0x20);
    assert_eq!(block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
}

#[test]
fn header_blocks_of_one_direction_are_one_stream() {
    let (mut writer, mut reader) = (headers::Writer::default(), headers::Reader::default());
    for round in 0..50 {
        let long = "x".repeat(round * 700);
        let pairs = [("streamtype", "data"), ("port", "8080"), ("requestid", long.as_str()), ("empty", "")];
        let read = reader.read(&writer.write(&pairs)).unwrap();
        let wanted: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read, wanted);
    }
}

#[test]
fn a_block_that_unpacks_without_end_is_refused() {
    let block = headers::Writer::default().write(&[("a", &"a".repeat(4 << 20))]);
    assert_eq!(headers::Reader::default().read(&block), Err(ProtocolError::HeaderBlock));
}

#[test]
fn frames_that_are_none_are_refused() {
    for (bytes, error) in [
        ([0x80, 2, 0, 1, 0, 0, 0, 0], ProtocolError::Version(2)),
        ([0x80, 3, 0, 5, 0, 0, 0, 0], ProtocolError::Kind(5)),
        ([0x80, 3, 0, 6, 0, 0, 0, 0], ProtocolError::Length(0)),
        ([0x80, 3, 0, 1, 0, 0xff, 0, 0], ProtocolError::Length(0xff0000)),
        ([0, 0, 0, 0, 0, 0, 0, 0], ProtocolError::Stream),
    ] {
        assert_eq!(decode(&bytes, 99), Err(error), "{bytes:?}");
    }
}

fn written() -> impl Strategy<Value = (Bytes, Event)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..100_000).prop_map(Bytes::from);
    let short = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let id = || 1u32..0x7fff_ffff;
    prop_oneof![
        (id(), any::<bool>(), bytes()).prop_map(|(stream, last, payload)| (
            frame::data(stream, last, &payload),
            Event::Data { stream, last, payload }
        )),
        (id(), any::<bool>(), short()).prop_map(|(stream, last, headers)| (
            frame::open(stream, last, &headers),
            Event::Open { stream, last, headers }
        )),
        (id(), short()).prop_map(|(stream, headers)| (
            frame::reply(stream, &headers),
            Event::Reply { stream, last: false, headers }
        )),
        id().prop_map(|stream| (frame::reset(stream, frame::Reset::Cancel), Event::Reset { stream, status: 5 })),
        any::<u32>().prop_map(|id| (frame::ping(id), Event::Ping(id))),
        Just((frame::go_away(7), Event::GoAway)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read((bytes, event) in written(), piece in 1usize..50_000) {
        prop_assert_eq!(decode(&bytes, piece).unwrap(), vec![event]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..50) {
        let (at_once, in_pieces) = (decode(&bytes, usize::MAX), decode(&bytes, piece));
        prop_assert_eq!(at_once.is_ok(), in_pieces.is_ok());
        let _ = headers::Reader::default().read(&bytes);
    }

    #[test]
    fn any_header_block_is_read_or_refused(block in prop::collection::vec(any::<u8>(), 0..200)) {
        // as a client's that begins well
        let mut reader = headers::Reader::default();
        reader.read(&headers::Writer::default().write(&[("streamtype", "error")])).unwrap();
        let _ = reader.read(&block);
    }
}

#[tokio::test]
async fn streams_carry_both_ways_and_end_one_side_at_a_time() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (client, mut server) = (Connection::open(ours, Side::Client), Connection::open(theirs, Side::Server));
    let mut asking = client.start(&[("streamtype", "data")]).await.unwrap();
    let mut serving = server.accept().await.unwrap();
    assert_eq!(serving.header("streamtype"), "data");
    let much: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let sent = much.clone();
    let there = tokio::spawn(async move {
        asking.output.send(sent.into()).await.unwrap();
        asking.output.close().await;
        all(asking.input).await
    });
    assert_eq!(all(serving.input).await, much);
    serving.output.send(much.clone().into()).await.unwrap();
    serving.output.close().await;
    assert_eq!(there.await.unwrap(), much);
    server.close().await;
    client.gone().await;
}

#[tokio::test]
async fn a_stream_that_was_reset_takes_no_more() {
    let (mut raw, theirs) = tokio::io::duplex(1 << 20);
    let mut server = Connection::open(theirs, Side::Server);
    let mut writer = headers::Writer::default();
    raw.write_all(&frame::open(1, false, &writer.write(&[("streamtype", "data")]))).await.unwrap();
    let mut stream = server.accept().await.unwrap();
    raw.write_all(&frame::reset(1, frame::Reset::Cancel)).await.unwrap();
    stream.output.refused().await;
    assert!(stream.output.send(Bytes::from_static(b"x")).await.is_err());
    assert_eq!(stream.input.recv().await, None);
}

#[tokio::test]
async fn streams_with_numbers_of_the_wrong_side_or_used_before_are_reset() {
    let (mut raw, theirs) = tokio::io::duplex(1 << 20);
    let _server = Connection::open(theirs, Side::Server);
    let mut writer = headers::Writer::default();
    for id in [2, 3, 3] {
        raw.write_all(&frame::open(id, false, &writer.write(&[]))).await.unwrap();
    }
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    while events.len() < 3 {
        match decoder.event().unwrap() {
            Some(event) => events.push(event),
            None => assert!(raw.read_buf(decoder.buffer()).await.unwrap() > 0),
        }
    }
    assert_eq!(events[0], Event::Reset { stream: 2, status: 1 });
    assert!(matches!(events[1], Event::Reply { stream: 3, .. }));
    assert_eq!(events[2], Event::Reset { stream: 3, status: 1 });
}
