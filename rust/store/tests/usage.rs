//! What the store says of its use of the disk, beside `du` and what collection gives back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use fastlayer_store::usage::{Group, Usage};
use fastlayer_store::{Codec, DiffId, ExportOptions, IngestOptions, Keep, Store, disk_usage};
use fastlayer_tar::TRAILER;
use support::{TestStore, member, pseudo_random};

fn layer(store: &Store, parts: &[(usize, u64)]) -> DiffId {
    let mut tar = Vec::new();
    for (size, seed) in parts {
        let name = format!("{seed}");
        member(&mut tar, &name, &pseudo_random(*size, *seed));
    }
    tar.extend_from_slice(&TRAILER);
    store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap()
        .diff_id
}

fn usage(store: &Store, groups: &[&[DiffId]]) -> Usage {
    let groups: Vec<Group> = groups
        .iter()
        .map(|layers| Group {
            layers: layers.to_vec(),
            ..Group::default()
        })
        .collect();
    store.usage(&groups, &AtomicBool::new(false)).unwrap()
}

fn du(store: &Store) -> u64 {
    du_of(store.path())
}

fn du_of(path: &Path) -> u64 {
    let output = Command::new("du")
        .args(["-s", "--block-size=1"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_total_is_what_du_says() {
    let store = TestStore::new();
    let one = layer(&store, &[(500_000, 1), (3_000, 2)]);
    store.put_document(&[b' '; 10_000]).unwrap();
    assert_eq!(usage(&store, &[]).total, du(&store));
    store.checkout(&[one], &AtomicBool::new(false)).unwrap();
    let found = usage(&store, &[]);
    assert_eq!(found.total, du(&store));
    assert!(found.places["objects"] > 500_000 && found.places["checkouts"] < 100_000);
}

/// Deeper than directories are open at a time, and with files at the bottom.
#[test]
fn a_deep_tree_is_counted_to_its_bottom() {
    let store = TestStore::new();
    let mut path = store.path().join("staging");
    for _ in 0..200 {
        path.push("directory");
    }
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("file"), [1; 100_000]).unwrap();
    std::fs::hard_link(path.join("file"), store.path().join("staging/other")).unwrap();
    assert_eq!(usage(&store, &[]).total, du(&store));
    let top = store.path().join("staging/directory");
    let file = path.join("file").metadata().unwrap().blocks() * 512;
    let other_name = "the file has another name";
    assert_eq!(
        disk_usage(&top).unwrap(),
        du_of(&top) - file,
        "{other_name}"
    );
    assert_eq!(disk_usage(&store.path().join("nothing")).unwrap(), 0);
}

/// What saves left of a layer belongs to those who need the layer.
#[test]
fn frames_are_spread_like_their_layers() {
    let store = TestStore::new();
    let one = layer(&store, &[(500_000, 1), (300_000, 2)]);
    let two = layer(&store, &[(500_000, 1), (700_000, 3)]);
    let before = usage(&store, &[&[one], &[two]]).groups[0];
    let never = AtomicBool::new(false);
    store
        .export(
            &one,
            &ExportOptions::new(Codec::Zstd),
            &mut Vec::new(),
            &mut |_| {},
        )
        .unwrap();
    let found = usage(&store, &[&[one], &[two]]);
    let group = found.groups[0];
    assert!(group.exports > 800_000, "{group:?}");
    assert_eq!(group.unique, before.unique + group.exports);
    assert!(group.derived >= group.exports && group.derived < group.exports + 40_000);
    assert_eq!(found.groups[1].exports, 0);
    let keep = || {
        Ok(Keep {
            layers: [two].into(),
            ..Keep::default()
        })
    };
    let foretold = store.collectable(keep, &never).unwrap();
    let collected = store.collect(keep, &never).unwrap();
    assert_eq!(collected.freed, group.unique);
    assert_eq!(foretold, collected);
}

/// A killed writer's files are foretold like everything else.
#[test]
fn what_crashes_left_is_foretold() {
    let store = TestStore::new();
    let kept = layer(&store, &[(500_000, 1)]);
    let keep = || {
        Ok(Keep {
            layers: [kept].into(),
            ..Keep::default()
        })
    };
    let never = AtomicBool::new(false);
    store.collect(keep, &never).unwrap();
    for (place, size) in [("staging", 10_000), ("trash", 20_000), ("recipes", 30_000)] {
        let path = store.path().join(place).join(".unfinished-1");
        std::fs::write(path, vec![1; size]).unwrap();
    }
    let before = du(&store);
    let foretold = store.collectable(keep, &never).unwrap();
    let collected = store.collect(keep, &never).unwrap();
    assert_eq!(foretold, collected);
    assert_eq!(collected.freed, before - du(&store));
    assert!(collected.freed >= 60_000);
}

#[test]
fn bytes_are_spread_over_those_who_need_them() {
    let store = TestStore::new();
    let one = layer(&store, &[(500_000, 1), (300_000, 2)]);
    let two = layer(&store, &[(500_000, 1), (700_000, 3)]);
    let found = usage(&store, &[&[one], &[two]]);
    let near = |bytes: u64, size: u64| bytes >= size && bytes < size + 40_000;
    let [first, second] = found.groups[..] else {
        panic!("{found:?}");
    };
    assert!(
        near(first.unique, 300_000) && near(second.unique, 700_000),
        "{found:?}"
    );
    assert!(near(first.shared, 500_000) && first.shared == second.shared);
    assert_eq!(first.added, first.unique + first.shared);
    assert_eq!(second.added, second.unique);
    assert_eq!(found.unused, 0);

    let found = usage(&store, &[&[one, one], &[one, two]]);
    assert_eq!(found.groups[0].unique, 0);
    assert_eq!(found.groups[1].unique, second.unique);
    assert_eq!(usage(&store, &[&[one]]).unused, second.unique);
}

#[test]
fn what_is_unique_is_what_collection_gives_back() {
    let store = TestStore::new();
    let one = layer(&store, &[(500_000, 1), (300_000, 2)]);
    let two = layer(&store, &[(500_000, 1), (700_000, 3)]);
    store.checkout(&[two], &AtomicBool::new(false)).unwrap();
    let keep = |layers: &[DiffId]| {
        Ok(Keep {
            layers: layers.iter().copied().collect(),
            ..Keep::default()
        })
    };
    let never = AtomicBool::new(false);
    // The first one makes directories that it needs.
    assert_eq!(
        store.collect(|| keep(&[one, two]), &never).unwrap().freed,
        0
    );
    let before = usage(&store, &[&[one], &[two]]);
    let roots = || keep(&[one]);
    let freed = store.collect(roots, &AtomicBool::new(false)).unwrap().freed;
    assert_eq!(freed, before.total - du(&store));
    // The list of a chain's checkouts belongs to the chain's layers as well.
    assert_eq!(freed, before.groups[1].unique);
}
