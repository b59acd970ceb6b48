//! Collection beside running operations: what a lease needs stays, and nobody waits for long.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs::{self, File};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use fastlayer_store::{
    BlobDigest, Collected, DiffId, Durability, Error, IngestOptions, Keep, LayerInfo, LayerWriter,
    Result, Store, WriterOptions,
};
use fastlayer_tar::TRAILER;
use support::{TestStore, is_whole, member, only, pseudo_random};

fn layer(store: &Store, seed: u64) -> LayerInfo {
    let mut tar = Vec::new();
    member(&mut tar, "shared", &pseudo_random(50_000, 0));
    member(&mut tar, "own", &pseudo_random(300_000, seed));
    tar.extend_from_slice(&TRAILER);
    store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap()
}

fn reopened(store: &Store) -> Store {
    Store::open(store.path(), false).unwrap()
}

fn collect(store: &Store, roots: impl FnMut() -> Result<Keep>) -> Collected {
    store.collect(roots, &AtomicBool::new(false)).unwrap()
}

fn nothing() -> Result<Keep> {
    Ok(Keep::default())
}

#[test]
fn what_is_made_or_used_under_a_lease_stays() {
    let store = TestStore::new();
    let collector = reopened(&store);
    let (used, unused) = (layer(&collector, 1), layer(&collector, 2));
    let lease = store.lease().unwrap();
    let made = layer(&store, 3);
    let document = store.put_document(b"{}").unwrap();
    assert!(store.layer(&used.diff_id).unwrap().is_some());
    let begun = Instant::now();
    let collected = collect(&collector, nothing);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(collected.layers, [unused.diff_id]);
    assert!(!collected.postponed && collected.freed > 300_000);
    let mut left = [used.diff_id, made.diff_id];
    left.sort_unstable();
    is_whole(&store, &left);
    assert_eq!(store.get_document(&document).unwrap(), b"{}");

    drop(lease);
    let collected = collect(&collector, nothing);
    assert_eq!(collected.layers.len(), 2);
    assert_eq!(collected.blobs, [document]);
    is_whole(&store, &[]);
}

#[test]
fn a_lease_lasts_as_long_as_any_of_its_holders() {
    let store = TestStore::new();
    let first = store.lease().unwrap();
    let second = store.lease().unwrap();
    drop(first);
    let made = layer(&store, 1);
    assert!(collect(&reopened(&store), nothing).layers.is_empty());
    drop(second);
    assert_eq!(collect(&reopened(&store), nothing).layers, [made.diff_id]);
}

/// The lease of a process that was killed: its file is there, but nobody has the lock.
#[test]
fn what_is_left_of_a_dead_lease_counts_for_nothing() {
    let store = TestStore::new();
    let made = layer(&store, 1);
    let directory = store.path().join("locks/leases");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("left");
    fs::write(&file, format!("layer {}\n", made.diff_id.hex())).unwrap();
    assert_eq!(collect(&store, nothing).layers, [made.diff_id]);
    assert!(!file.exists());
}

/// A root that is named while collection is at work: it is asked for a second time.
#[test]
fn what_is_named_while_layers_are_set_aside_comes_back() {
    let store = TestStore::new();
    let (named, gone) = (layer(&store, 1), layer(&store, 2));
    let mut asked = 0;
    let collected = collect(&store, || {
        asked += 1;
        if asked == 1 {
            return nothing();
        }
        // Out of sight at this moment: whoever looks now takes it for missing.
        assert!(store.layers().unwrap().is_empty());
        Ok(only(named.diff_id))
    });
    assert_eq!((asked, collected.layers), (2, vec![gone.diff_id]));
    is_whole(&store, &[named.diff_id]);
}

#[test]
fn nothing_is_lost_when_the_roots_cannot_be_read_again() {
    let store = TestStore::new();
    let kept = layer(&store, 1);
    let document = store.put_document(b"{}").unwrap();
    let mut asked = 0;
    let result = store.collect(
        || {
            asked += 1;
            if asked == 1 {
                return nothing();
            }
            Err(Error::Interrupted)
        },
        &AtomicBool::new(false),
    );
    assert!(matches!(result, Err(Error::Interrupted)));
    is_whole(&store, &[kept.diff_id]);
    assert!(store.has_blob(&document).unwrap());
}

#[test]
fn opening_makes_good_what_a_killed_collection_left() {
    let store = TestStore::new();
    let kept = layer(&store, 1);
    let document = store.put_document(b"{}").unwrap();
    let root = store.path();
    for (place, aside, name) in [
        ("recipes", "trash/recipes", kept.diff_id.hex()),
        ("blobs/sha256", "trash/blobs", document.hex()),
    ] {
        fs::rename(root.join(place).join(&name), root.join(aside).join(&name)).unwrap();
    }
    assert!(store.layers().unwrap().is_empty());
    let store = reopened(&store);
    is_whole(&store, &[kept.diff_id]);
    assert!(store.has_blob(&document).unwrap());
}

/// A layer in the making relies on contents that nothing names.
#[test]
fn contents_wait_for_layers_in_the_making_but_not_for_ever() {
    let store = TestStore::new();
    let gone = layer(&store, 1);
    let writer = reopened(&store);
    let options = WriterOptions {
        durability: Durability::Deferred,
        ..WriterOptions::default()
    };
    let making = LayerWriter::new(&writer, options).unwrap();
    let collected = collect(&store, nothing);
    assert!(collected.postponed);
    assert_eq!(
        (collected.layers, collected.objects),
        (vec![gone.diff_id], 0)
    );
    let again = layer(&writer, 1);
    assert!(again.added_bytes < 100_000, "its objects were still there");
    drop(making);
    let collected = collect(&store, || Ok(only(again.diff_id)));
    assert!(!collected.postponed);
    is_whole(&store, &[again.diff_id]);
}

#[test]
fn writers_at_work_are_waited_for() {
    let store = TestStore::new();
    layer(&store, 1);
    let writer = reopened(&store);
    let making = LayerWriter::new(&writer, WriterOptions::default()).unwrap();
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(making);
    });
    let collected = collect(&store, nothing);
    assert!(
        !collected.postponed && collected.objects == 2,
        "{collected:?}"
    );
    ending.join().unwrap();
}

#[test]
fn many_build_and_collect_at_once() {
    let store = TestStore::new();
    let root = store.path().to_path_buf();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..3)
            .map(|number| {
                let store = Store::open(&root, false).unwrap();
                scope.spawn(move || {
                    for round in 0..15 {
                        let lease = store.lease().unwrap();
                        // The same layers come and go in all threads.
                        let made = layer(&store, (number + round) % 4);
                        let document = store.put_document(&[b'x', made.diff_id.as_bytes()[0]]);
                        let mut tar = Vec::new();
                        store
                            .write_tar(&made.diff_id, &mut tar, &AtomicBool::new(false))
                            .unwrap();
                        assert_eq!(DiffId::of(&tar), made.diff_id);
                        let document: BlobDigest = document.unwrap();
                        assert!(store.has_blob(&document).unwrap());
                        drop(lease);
                    }
                })
            })
            .collect();
        let collector = Store::open(&root, false).unwrap();
        let stop = &stop;
        let sweeper = scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                collect(&collector, nothing);
            }
        });
        for builder in builders {
            builder.join().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        sweeper.join().unwrap();
    });
    collect(&store, nothing);
    is_whole(&store, &[]);
}

/// Contents are removed by turns: a writer that comes meanwhile gets in between, and what it relies
/// on is spared.
#[test]
fn a_writer_that_comes_in_the_middle_of_a_removal_gets_in() {
    let store = TestStore::new();
    let gone = many_files(&store);
    let writer = reopened(&store);
    let locks = store.path().join("locks");
    let ending = std::thread::spawn(move || {
        // The collection holds the lock that a layer in the making shares.
        let held = File::create(locks.join("writers")).unwrap();
        while held.try_lock_shared().is_ok() {
            held.unlock().unwrap();
            std::thread::yield_now();
        }
        many_files(&writer)
    });
    let collected = collect(&store, nothing);
    let again = ending.join().unwrap();
    assert_eq!(again.diff_id, gone.diff_id);
    assert!(!collected.postponed && collected.layers == [gone.diff_id]);
    is_whole(&store, &[again.diff_id]);
}

fn many_files(store: &Store) -> LayerInfo {
    let mut tar = Vec::new();
    for number in 0..3000 {
        member(&mut tar, &format!("{number}"), &pseudo_random(5000, number));
    }
    tar.extend_from_slice(&TRAILER);
    store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap()
}
