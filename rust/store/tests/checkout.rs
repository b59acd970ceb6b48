//! Checkouts as files: what is linked, what is kept, what goes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, Keep};
use fixture::Fixture;

fn checkout(fixture: &Fixture, chain: &[DiffId]) -> Vec<std::path::PathBuf> {
    fixture
        .store
        .checkout(chain, &AtomicBool::new(false))
        .unwrap()
        .directories
}

fn links(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().nlink()
}

#[test]
fn a_file_is_its_object_where_all_agrees_and_only_once() {
    let fixture = Fixture::new();
    let big = "x".repeat(5000);
    let layer = fixture.layer(&[
        &format!("f a {big}"),
        &format!("f b {big}"),
        &format!("f600 c {big}"),
        "f small 1",
    ]);
    let lowers = checkout(&fixture, &[layer]);
    let links = ["a", "b", "c", "small"].map(|name| links(&lowers[0].join(name)));
    assert_eq!(links, [2, 1, 1, 1]);
}

#[test]
fn a_chain_of_nothing_has_one_empty_directory() {
    let fixture = Fixture::new();
    let empty = fixture.layer(&[]);
    for chain in [vec![], vec![empty], vec![empty, empty]] {
        let lowers = checkout(&fixture, &chain);
        assert_eq!(lowers.len(), 1);
        assert_eq!(std::fs::read_dir(&lowers[0]).unwrap().count(), 0);
    }
}

#[test]
fn layers_are_laid_out_once_for_all_chains_unless_they_lean_on_others() {
    let fixture = Fixture::new();
    let one = fixture.layer(&["d700 d"]);
    let two = fixture.layer(&["d750 d"]);
    let own = fixture.layer(&["d711 e", "f e/x 1"]);
    let leaning = fixture.layer(&["f d/x 1"]);
    let lower = |base, top: DiffId| checkout(&fixture, &[base, top])[0].clone();
    assert_eq!(lower(one, own), lower(two, own));
    let [first, second] = [lower(one, leaning), lower(two, leaning)];
    assert_ne!(first, second);
    let mode = |place: &Path| std::fs::metadata(place.join("d")).unwrap().mode() & 0o7777;
    assert_eq!((mode(&first), mode(&second)), (0o700, 0o750));
}

#[test]
fn a_layer_that_comes_twice_has_two_directories() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.layer(&["f a 1"]), fixture.layer(&["f a 2"]));
    let lowers = checkout(&fixture, &[one, two, one]);
    let distinct: HashSet<_> = lowers.iter().collect();
    assert_eq!((lowers.len(), distinct.len()), (3, 3));
}

#[test]
fn checkouts_go_with_their_layers() {
    let fixture = Fixture::new();
    let (kept, gone) = (fixture.layer(&["f a 1"]), fixture.layer(&["f b 2"]));
    let alone = checkout(&fixture, &[kept]);
    let both = checkout(&fixture, &[kept, gone]);
    let keep = Keep {
        layers: HashSet::from([kept]),
        blobs: HashSet::new(),
        forget_exports: false,
    };
    fixture
        .store
        .collect(|| Ok(keep.clone()), &AtomicBool::new(false))
        .unwrap();
    assert!(alone[0].join("a").exists());
    assert!(!both[0].exists());
    assert_eq!(checkout(&fixture, &[kept]), alone);
    assert!(
        fixture
            .store
            .checkout(&[kept, gone], &AtomicBool::new(false))
            .is_err()
    );
}

/// A container on one chain goes on when another image with the same layer is removed.
#[test]
fn a_checkout_stays_as_long_as_its_own_layer() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.layer(&["d700 d"]), fixture.layer(&["d750 d"]));
    let shared = fixture.layer(&["d711 e", "f e/x 1"]);
    let before = checkout(&fixture, &[one, shared]);
    assert_eq!(checkout(&fixture, &[two, shared])[0], before[0]);
    let keep = Keep {
        layers: HashSet::from([two, shared]),
        ..Keep::default()
    };
    fixture
        .store
        .collect(|| Ok(keep.clone()), &AtomicBool::new(false))
        .unwrap();
    assert!(before[0].join("e/x").exists());
    assert!(!before[1].exists());
}
