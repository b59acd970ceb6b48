//! Compressed streams that come in: every form, and everything that can be wrong with one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::{Cursor, Write};

use fastlayer_store::{DiffId, Error, IngestOptions, LayerInfo, Store};
use fastlayer_tar::TRAILER;
use support::{TestStore, member, pseudo_random};

fn tar() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..50 {
        member(
            &mut tar,
            &format!("f{number}"),
            &pseudo_random(number * 97, number as u64),
        );
    }
    member(&mut tar, "zeros", &vec![0; 300_000]);
    tar.extend_from_slice(&TRAILER);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Encode = fn(&[u8]) -> Vec<u8>;
const CODECS: [(&str, Encode); 4] = [("gzip", gzip), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2)];

fn ingest(store: &Store, blob: &[u8], step: usize) -> Result<LayerInfo, Error> {
    let source = support::Stepped { bytes: blob, step };
    store.ingest(source, IngestOptions::default(), &mut |_| {})
}

#[test]
fn one_member_several_members_and_padding() {
    let store = TestStore::new();
    let tar = tar();
    let (first, second) = tar.split_at(10_000);
    for (name, encode) in CODECS {
        let whole = encode(&tar);
        let parts = [encode(first), encode(&[]), encode(second)].concat();
        let padded = [whole.clone(), vec![0; 1024]].concat();
        for (blob, step) in [(&whole, 3), (&whole, 1 << 20), (&parts, 7), (&padded, 11)] {
            let info = ingest(&store, blob, step).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(info.diff_id, DiffId::of(&tar), "{name}");
            assert_eq!(info.raw_reason, None, "{name}");
        }
    }
}

#[test]
fn skippable_zstd_frames_are_skipped() {
    let store = TestStore::new();
    let tar = tar();
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"table"].concat();
    let blob = [
        skippable.clone(),
        zstd(&tar[..5000]),
        skippable.clone(),
        zstd(&tar[5000..]),
        skippable,
    ]
    .concat();
    assert_eq!(ingest(&store, &blob, 5).unwrap().diff_id, DiffId::of(&tar));
}

#[test]
fn cut_streams_are_refused_at_every_length() {
    let store = TestStore::new();
    let tar = tar();
    for (name, encode) in CODECS {
        let blob = encode(&tar);
        for length in (7..blob.len()).step_by(997).chain([blob.len() - 1]) {
            let error = ingest(&store, &blob[..length], 1 << 16).unwrap_err();
            let fits = matches!(error, Error::Format { .. } | Error::TarFormat { .. });
            assert!(fits, "{name} cut at {length}: {error}");
        }
    }
    assert!(store.layers().unwrap().is_empty());
}

#[test]
fn garbage_after_the_end_is_refused() {
    let store = TestStore::new();
    for (name, encode) in CODECS {
        for tail in [&b"garbage garbage"[..], b"\0\0\0\0garbage"] {
            let blob = [&encode(&tar()), tail].concat();
            let error = ingest(&store, &blob, 1 << 16).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{name}: {error}");
        }
    }
    assert!(store.layers().unwrap().is_empty());
}

#[test]
fn changed_bytes_never_give_the_layer() {
    let store = TestStore::new();
    let tar = tar();
    for (name, encode) in CODECS {
        let blob = encode(&tar);
        for position in (12..blob.len()).step_by(1501) {
            let mut changed = blob.clone();
            changed[position] ^= 0x20;
            if let Ok(info) = ingest(&store, &changed, 1 << 16) {
                // Only zstd without a checksum lets a changed literal through: it is another tar.
                assert_ne!(info.diff_id, DiffId::of(&tar), "{name} at {position}");
            }
        }
    }
}

#[test]
fn a20_a_bomb_ends_at_the_limit() {
    // Frames of zeros: each some hundred bytes for 64 MiB, again and again.
    let frame = zstd(&vec![0; 64 << 20]);
    let mut head = Vec::new();
    let mut entry = fastlayer_tar::Entry::new("zeros", fastlayer_tar::EntryKind::File);
    entry.size = 64 << 30;
    fastlayer_tar::encode_header(&entry, &mut head).unwrap();
    let mut blob = zstd(&head);
    for _ in 0..1024 {
        blob.extend_from_slice(&frame);
    }
    let store = TestStore::new();
    let error = store
        .ingest(Cursor::new(&blob), IngestOptions::default(), &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(store.layers().unwrap().is_empty());
}
