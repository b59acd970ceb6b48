//! What a failed sync leaves: nothing that is not on disk for sure is used after it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;

use fastlayer_store::{Durability, Error, IngestOptions, LayerInfo, Store, WriterOptions};
use fastlayer_tar::TRAILER;
use support::{TestStore, is_whole, member, pseudo_random};

fn deferred(store: &Store, seed: u64) -> LayerInfo {
    let mut tar = Vec::new();
    member(&mut tar, "file", &pseudo_random(50_000, seed));
    tar.extend_from_slice(&TRAILER);
    let options = IngestOptions {
        writer: WriterOptions {
            durability: Durability::Deferred,
            ..WriterOptions::default()
        },
        ..IngestOptions::default()
    };
    store.ingest(tar.as_slice(), options, &mut |_| {}).unwrap()
}

/// Another process has seen the failure and discarded the area: whoever has made layers in it is
/// told when it wants them to be durable, and a store that is opened then has none of them.
#[test]
fn whoever_has_made_what_was_discarded_is_told() {
    let store = TestStore::new();
    let made = deferred(&store, 1);
    let area = store.path().join("unsynced").join(store.token());
    fs::rename(&area, store.path().join("trash/gone")).unwrap();
    let later = Store::open(store.path(), false).unwrap();
    assert!(later.layer(&made.diff_id).unwrap().is_none());
    let again = deferred(&later, 1);
    let Err(Error::Io { path, .. }) = store.sync() else {
        panic!("it was taken for durable");
    };
    assert!(path.contains("discarded"), "{path}");
    later.sync().unwrap();
    is_whole(&later, &[again.diff_id]);
}
