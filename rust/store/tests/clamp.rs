//! Layers whose times are cut off.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::sync::atomic::AtomicBool;

use fastlayer_store::index::Kind;
use fastlayer_store::{DiffId, Error, Store, WriterOptions};
use fastlayer_tar::Timestamp;
use fixture::Fixture;

/// What the fixture gives every entry.
const WRITTEN: i64 = 1_000_000_000;

fn tar(store: &Store, diff_id: &DiffId) -> Vec<u8> {
    let mut bytes = Vec::new();
    store
        .write_tar(diff_id, &mut bytes, &AtomicBool::new(false))
        .unwrap();
    bytes
}

fn layer(fixture: &Fixture) -> DiffId {
    let large = "x".repeat(10_000);
    let larger = "y".repeat(300_000);
    fixture.layer(&[
        "d etc",
        "w etc/.wh..wh..opq",
        "w etc/.wh.gone",
        "f600:1:2 etc/empty",
        &format!("f etc/larger {larger}"),
        &format!("f4755 etc/largest {large}"),
        "h etc/other etc/largest",
        "l etc/link ../target",
        "p pipe",
        "f small content",
    ])
}

#[test]
fn every_later_time_is_cut_off_and_nothing_else_changes() {
    let fixture = Fixture::new();
    let before = layer(&fixture);
    let after = fixture
        .store
        .clamp(&before, 77, &WriterOptions::default())
        .unwrap();
    let rows = |diff_id: &DiffId| {
        let index = fixture.store.tree_index(diff_id).unwrap();
        let rows: Vec<_> = index
            .iter()
            .map(|row| row.unwrap().to_entry().unwrap())
            .collect();
        rows
    };
    let (mut old, new) = (rows(&before), rows(&after.diff_id));
    for row in &mut old {
        if !row.implicit && row.kind != Kind::Whiteout && row.mtime.seconds == WRITTEN {
            row.mtime = Timestamp::from_seconds(77);
        }
    }
    assert!(new.iter().all(|row| row.mtime.seconds <= 77));
    assert_eq!(old, new);
    assert_eq!(
        fixture
            .store
            .fsck(&AtomicBool::new(false), &mut |_| ())
            .unwrap(),
        []
    );
}

#[test]
fn the_bytes_are_those_of_a_layer_that_was_made_with_the_time() {
    let fixture = Fixture::new();
    let before = layer(&fixture);
    let options = WriterOptions::default();
    let clamped = fixture.store.clamp(&before, 5, &options).unwrap();
    let twice = fixture
        .store
        .clamp(
            &fixture.store.clamp(&before, 900, &options).unwrap().diff_id,
            5,
            &options,
        )
        .unwrap();
    assert_eq!(clamped.diff_id, twice.diff_id);
    // Headers hold the time and its checksum: all other bytes are the same.
    let (old, new) = (
        tar(&fixture.store, &before),
        tar(&fixture.store, &clamped.diff_id),
    );
    assert_eq!(old.len(), new.len());
    let differ = old
        .iter()
        .zip(&new)
        .enumerate()
        .filter(|(_, (a, b))| a != b);
    assert!(
        differ
            .map(|(place, _)| place % 512)
            .all(|place| (136..156).contains(&place))
    );
}

#[test]
fn a_layer_that_is_old_enough_stays_what_it_is() {
    let fixture = Fixture::new();
    let before = layer(&fixture);
    let options = WriterOptions::default();
    for epoch in [WRITTEN, WRITTEN + 1, i64::MAX] {
        let after = fixture.store.clamp(&before, epoch, &options).unwrap();
        assert_eq!((after.diff_id, after.added_bytes), (before, 0));
    }
}

#[test]
fn a_layer_that_is_not_there_is_an_error() {
    let fixture = Fixture::new();
    let missing = DiffId::from_hex(&"0".repeat(64)).unwrap();
    let result = fixture.store.clamp(&missing, 5, &WriterOptions::default());
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
}
