//! Merged trees as plain files and as one tar.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, IngestOptions, Progress};
use fixture::{Fixture, listing};

fn chain(fixture: &Fixture) -> Vec<DiffId> {
    let big = "b".repeat(10_000);
    vec![
        fixture.layer(&[
            "d711 a",
            "f a/gone x",
            &format!("f600 a/big {big}"),
            "h a/link a/big",
            "l a/sym ../outside",
            "p a/pipe",
        ]),
        fixture.layer(&["d711 a", "w a/.wh.gone", "f a/new text"]),
    ]
}

#[test]
fn a_tree_becomes_plain_files() {
    let fixture = Fixture::new();
    let chain = chain(&fixture);
    let destination = fixture.path("out");
    std::fs::create_dir(&destination).unwrap();
    let cancel = AtomicBool::new(false);
    for _ in 0..2 {
        fixture
            .store
            .write_tree(&chain, &destination, &cancel, &Progress::default())
            .unwrap();
        let a = destination.join("a");
        let mut names: Vec<_> = std::fs::read_dir(&a)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["big", "link", "new", "pipe", "sym"]);
        assert_eq!(std::fs::metadata(&a).unwrap().mode() & 0o7777, 0o711);
        let big = std::fs::metadata(a.join("big")).unwrap();
        assert_eq!(
            (big.nlink(), big.len(), big.mtime()),
            (2, 10_000, 1_000_000_000)
        );
        assert_eq!(
            std::fs::read_link(a.join("sym")).unwrap().to_str(),
            Some("../outside")
        );
    }
}

#[test]
fn links_in_the_destination_are_not_followed() {
    let fixture = Fixture::new();
    let chain = chain(&fixture);
    let destination = fixture.path("out");
    let outside = fixture.path("outside");
    std::fs::create_dir(&destination).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, destination.join("a")).unwrap();
    fixture
        .store
        .write_tree(
            &chain,
            &destination,
            &AtomicBool::new(false),
            &Progress::default(),
        )
        .unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(destination.join("a/new").exists());
}

#[test]
fn the_tar_of_a_tree_is_a_layer_with_that_tree() {
    let fixture = Fixture::new();
    let chain = chain(&fixture);
    let cancel = AtomicBool::new(false);
    let progress = Progress::default();
    let mut tar = Vec::new();
    let length = fixture
        .store
        .write_tree_tar(&chain, &mut tar, &cancel, &progress)
        .unwrap();
    assert_eq!(length, tar.len() as u64);
    assert_eq!(progress.done(), length);
    let info = fixture
        .store
        .ingest(&tar[..], IngestOptions::default(), &mut |_| {})
        .unwrap();
    assert_eq!(
        listing(&fixture.store, &[info.diff_id]),
        listing(&fixture.store, &chain)
    );
    assert_eq!(
        fixture.store.tree_id(&[info.diff_id]).unwrap(),
        fixture.store.tree_id(&chain).unwrap()
    );
}
