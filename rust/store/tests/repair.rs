//! Damage that is mended from other copies, and damage that is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{BlobDigest, Codec, ExportOptions, IngestOptions, Store};
use fastlayer_tar::TRAILER;
use support::{TestStore, files_below, member, pseudo_random};

fn tar() -> Vec<u8> {
    let mut tar = Vec::new();
    member(&mut tar, "large", &pseudo_random(300_000, 1));
    member(&mut tar, "medium", &pseudo_random(50_000, 2));
    for number in 0..100 {
        member(&mut tar, &format!("{number}"), &pseudo_random(900, number));
    }
    tar.extend_from_slice(&TRAILER);
    tar
}

fn files(store: &Store, place: &str) -> Vec<PathBuf> {
    files_below(&store.path().join(place))
}

fn damage(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn damage_all(store: &Store) -> usize {
    let mut count = 0;
    for place in ["objects", "segments", "recipes", "trees"] {
        for path in files(store, place) {
            damage(&path);
            count += 1;
        }
    }
    count
}

/// A store with one layer that came in as a compressed blob, which is kept.
fn with_kept_blob() -> (TestStore, BlobDigest) {
    let store = TestStore::new();
    let maker = TestStore::new();
    let made = maker
        .ingest(tar().as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let mut blob = Vec::new();
    let options = ExportOptions::new(Codec::Zstd);
    let digest = maker
        .export(&made.diff_id, &options, &mut blob, &mut |_| {})
        .unwrap()
        .digest;
    let options = IngestOptions {
        blob_digest: Some(digest),
        keep_blob: true,
        ..IngestOptions::default()
    };
    store.ingest(blob.as_slice(), options, &mut |_| {}).unwrap();
    (store, digest)
}

fn never() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

#[test]
fn g3_a_kept_blob_brings_everything_back() {
    let (store, _) = with_kept_blob();
    let before = files(&store, "objects").len() + files(&store, "segments").len();
    assert_eq!(damage_all(&store), before + 2);
    let repaired = store.repair(&never()).unwrap();
    assert!(repaired.found.len() >= before, "{repaired:?}");
    assert_eq!(repaired.left, []);
    let mut out = Vec::new();
    let layer = store.layers().unwrap()[0];
    store.write_tar(&layer, &mut out, &never()).unwrap();
    assert_eq!(out, tar());
}

#[test]
fn what_has_no_copy_is_missing_instead_of_wrong() {
    let store = TestStore::new();
    let made = store
        .ingest(tar().as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    store.checkout(&[made.diff_id], &never()).unwrap();
    // The checkout has the object's old inode.
    damage(&files(&store, "objects")[0]);
    assert_eq!(store.repair(&never()).unwrap().left, []);
    damage(&files(&store, "objects")[0]);
    fs::remove_dir_all(store.path().join("checkouts").join(store.token())).unwrap();
    let repaired = store.repair(&never()).unwrap();
    assert!(repaired.left.iter().all(|problem| problem.what != "object"));
    assert!(repaired.left.iter().any(|problem| problem.what == "layer"));
    // Loading it again puts it back.
    store
        .ingest(tar().as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    assert_eq!(store.repair(&never()).unwrap().found, []);
}

#[test]
fn a_damaged_blob_and_a_damaged_tree_go() {
    let (store, digest) = with_kept_blob();
    damage(&files(&store, "blobs")[0]);
    damage(&files(&store, "trees")[0]);
    let repaired = store.repair(&never()).unwrap();
    assert_eq!(
        (repaired.found.len(), repaired.left.len()),
        (2, 0),
        "{repaired:?}"
    );
    assert!(!store.has_blob(&digest).unwrap());
}
