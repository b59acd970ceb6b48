//! Layers that come in, and come out again bit for bit.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::Cursor;
use std::sync::atomic::AtomicBool;

use fastlayer_store::index::Kind;
use fastlayer_store::{DiffId, Error, IngestOptions, LayerInfo, LayerReader, Store};
use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header, padding};
use proptest::prelude::*;
use support::{TestStore, member, pseudo_random};

fn ingest(store: &Store, tar: &[u8]) -> Result<LayerInfo, Error> {
    store.ingest(Cursor::new(tar), IngestOptions::default(), &mut |_| {})
}

fn tar_of(store: &Store, diff_id: &DiffId) -> Vec<u8> {
    let mut output = Vec::new();
    store
        .write_tar(diff_id, &mut output, &AtomicBool::new(false))
        .unwrap();
    output
}

/// A tar with files on both sides of every limit.
fn sample() -> Vec<u8> {
    let mut tar = Vec::new();
    encode_header(&Entry::new("d", EntryKind::Directory), &mut tar).unwrap();
    for size in [
        0, 1, 511, 512, 513, 4096, 4097, 131_071, 131_072, 600_000, 5_000_000,
    ] {
        member(
            &mut tar,
            &format!("d/file-{size}"),
            &pseudo_random(size, size as u64),
        );
    }
    for number in 0..3000 {
        member(
            &mut tar,
            &format!("many/{number}"),
            &pseudo_random(number % 300, number as u64),
        );
    }
    let mut link = Entry::new("link", EntryKind::Symlink);
    link.link = b"d/file-1".to_vec();
    encode_header(&link, &mut tar).unwrap();
    let mut hard = Entry::new("hard", EntryKind::Hardlink);
    hard.link = b"d/file-4097".to_vec();
    encode_header(&hard, &mut tar).unwrap();
    tar.extend_from_slice(&TRAILER);
    tar.extend_from_slice(&[0; 9000]);
    tar.extend_from_slice(b"garbage");
    tar
}

#[test]
fn a_layer_comes_out_bit_for_bit() {
    let store = TestStore::new();
    let tar = sample();
    let info = ingest(&store, &tar).unwrap();
    assert_eq!(info.diff_id, DiffId::of(&tar));
    assert_eq!(info.size, tar.len() as u64);
    assert_eq!(info.entries, 1 + 11 + 3000 + 2);
    assert_eq!(info.raw_reason, None);
    assert_eq!(tar_of(&store, &info.diff_id), tar);
    assert_eq!(store.layers().unwrap(), [info.diff_id]);

    let again = ingest(&store, &tar).unwrap();
    assert_eq!(again.diff_id, info.diff_id);
    assert_eq!(again.added_bytes, 0);
}

#[test]
fn every_content_can_be_read_by_its_index() {
    let store = TestStore::new();
    let info = ingest(&store, &sample()).unwrap();
    let index = store.tree_index(&info.diff_id).unwrap();
    let reader = std::sync::Arc::new(LayerReader::open(&store, &info.diff_id).unwrap());
    let mut files = 0;
    for entry in index.iter() {
        let entry = entry.unwrap();
        if entry.kind() != Kind::File {
            continue;
        }
        files += 1;
        let mut content = Vec::new();
        reader.read_content(&entry, None, &mut content).unwrap();
        let size = usize::try_from(entry.size()).unwrap();
        let path = entry.path().unwrap();
        let seed = match path.strip_prefix(b"many/") {
            Some(number) => std::str::from_utf8(number).unwrap().parse().unwrap(),
            None => entry.size(),
        };
        assert_eq!(content, pseudo_random(size, seed), "{path:?}");
    }
    assert_eq!(files, 11 + 3000 + 1);
}

/// The header of version 1 and its 112 bytes a row: nothing of it is read.
fn index_of_version_1() -> Vec<u8> {
    let mut bytes = b"fl-tree\0".to_vec();
    for number in [1, 112, 0, 1, 0, 0_u32] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(64 + 112, 0);
    bytes
}

#[test]
fn an_index_of_an_earlier_version_is_made_anew() {
    let store = TestStore::new();
    let info = ingest(&store, &sample()).unwrap();
    let path = store.path().join("trees").join(info.diff_id.hex());
    let before = std::fs::read(&path).unwrap();
    let make_old = || {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, index_of_version_1()).unwrap();
    };
    make_old();
    let index = store.tree_index(&info.diff_id).unwrap();
    assert!(index.get(b"many/7").unwrap().is_some());
    store.sync().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // It counts for nothing, so it is no damage.
    make_old();
    let found = store.fsck(&AtomicBool::new(false), &mut |_| ()).unwrap();
    assert_eq!(found, []);
}

#[test]
fn the_index_is_rebuilt_when_it_is_lost() {
    let store = TestStore::new();
    let info = ingest(&store, &sample()).unwrap();
    let path = store.path().join("trees").join(info.diff_id.hex());
    let before = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    store.tree_index(&info.diff_id).unwrap();
    store.sync().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn segments_are_shared_by_versions_of_a_layer() {
    let store = TestStore::new();
    let first = sample();
    let info = ingest(&store, &first).unwrap();
    let mut second = first.clone();
    // One byte of one small file in the middle.
    let position = first
        .windows(9)
        .position(|window| window == b"many/1500")
        .unwrap();
    second[position + 512] ^= 1;
    let change = ingest(&store, &second).unwrap();
    assert_ne!(change.diff_id, info.diff_id);
    assert_eq!(tar_of(&store, &change.diff_id), second);
    assert!(
        change.added_bytes < info.added_bytes / 4,
        "{} of {}",
        change.added_bytes,
        info.added_bytes
    );
}

#[test]
fn a_cut_tar_is_refused_and_leaves_no_layer() {
    let store = TestStore::new();
    let tar = sample();
    for length in [1, 100, 511, 700, 1_000_000] {
        let error = ingest(&store, &tar[..length]).unwrap_err();
        assert!(matches!(error, Error::TarFormat { .. }), "{error}");
    }
    assert!(store.layers().unwrap().is_empty());
}

#[test]
fn what_is_no_tar_is_refused() {
    let store = TestStore::new();
    let error = ingest(&store, &pseudo_random(4096, 1)).unwrap_err();
    assert!(
        matches!(error, Error::TarFormat { offset: 0, .. }),
        "{error}"
    );
    assert!(store.layers().unwrap().is_empty());
}

#[test]
fn a_tar_that_goes_wrong_in_the_middle_is_kept_raw() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    member(&mut tar, "good", &pseudo_random(200_000, 1));
    tar.extend_from_slice(&pseudo_random(3_000_000, 2));
    let info = ingest(&store, &tar).unwrap();
    assert!(info.raw_reason.as_deref().unwrap().contains("checksum"));
    assert_eq!(tar_of(&store, &info.diff_id), tar);
    let error = store.tree_index(&info.diff_id).unwrap_err();
    assert!(matches!(error, Error::Raw { .. }), "{error}");
    assert_eq!(
        store.layer(&info.diff_id).unwrap().unwrap().raw_reason,
        info.raw_reason
    );
}

#[test]
fn a_tree_that_can_not_be_is_kept_raw() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    member(&mut tar, "file", b"x");
    member(&mut tar, "file/below", b"y");
    tar.extend_from_slice(&TRAILER);
    let info = ingest(&store, &tar).unwrap();
    assert!(info.raw_reason.is_some());
    assert_eq!(tar_of(&store, &info.diff_id), tar);
}

#[test]
fn wrong_digests_leave_nothing() {
    let store = TestStore::new();
    let tar = sample();
    for (blob, plain) in [(true, false), (false, true)] {
        let wrong = [7; 32];
        let options = IngestOptions {
            blob_digest: blob.then(|| fastlayer_store::BlobDigest::from_bytes(wrong)),
            diff_id: plain.then(|| DiffId::from_bytes(wrong)),
            ..IngestOptions::default()
        };
        let error = store
            .ingest(Cursor::new(&tar), options, &mut |_| {})
            .unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
        assert!(store.layers().unwrap().is_empty());
    }
}

#[test]
fn the_empty_layer_has_its_known_name() {
    let store = TestStore::new();
    let info = ingest(&store, &TRAILER).unwrap();
    assert_eq!(
        info.diff_id.to_string(),
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    );
    assert_eq!(ingest(&store, b"").unwrap().size, 0);
}

#[test]
fn an_interrupted_ingest_leaves_no_layer() {
    let store = TestStore::new();
    let options = IngestOptions::default();
    let cancel = std::sync::Arc::clone(&options.writer.cancel);
    let tar = sample();
    let error = store
        .ingest(Cursor::new(&tar), options, &mut |_| {
            cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert!(store.layers().unwrap().is_empty());
    assert!(
        std::fs::read_dir(store.path().join("staging"))
            .unwrap()
            .next()
            .is_none()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the members and wherever the source's reads end.
    #[test]
    fn arbitrary_tars_round_trip(
        sizes in proptest::collection::vec(prop_oneof![0..6000_usize, 100_000..300_000_usize], 0..12),
        trailer in 0..3_usize,
        tail in proptest::collection::vec(any::<u8>(), 0..2000),
        step in 1..40_000_usize,
    ) {
        let mut tar = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            member(&mut tar, &format!("f{number}"), &pseudo_random(*size, number as u64));
        }
        tar.extend_from_slice(&TRAILER[..512 * trailer]);
        if trailer == 2 {
            tar.extend_from_slice(&tail);
        }
        let store = TestStore::new();
        let source = support::Stepped { bytes: &tar, step };
        let info = store.ingest(source, IngestOptions::default(), &mut |_| {}).unwrap();
        prop_assert_eq!(info.diff_id, DiffId::of(&tar));
        prop_assert_eq!(tar_of(&store, &info.diff_id), tar);
        prop_assert!(info.raw_reason.is_none());
    }
}

#[test]
fn padding_is_kept_whatever_is_in_it() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    member(&mut tar, "a", &[1; 100]);
    let end = tar.len();
    tar[end - padding(100)..].fill(7);
    tar.extend_from_slice(&TRAILER);
    let info = ingest(&store, &tar).unwrap();
    assert_eq!(tar_of(&store, &info.diff_id), tar);
}

#[test]
fn a_source_that_ends_inside_a_large_file_is_refused() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    member(&mut tar, "large", &pseudo_random(9_000_000, 1));
    for length in [600, 100_000, 2_000_000, 8_999_999] {
        let error = ingest(&store, &tar[..length]).unwrap_err();
        assert!(matches!(error, Error::TarFormat { .. }), "{error}");
    }
    assert!(store.layers().unwrap().is_empty());
}
