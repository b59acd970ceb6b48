//! Opening, durability, garbage collection and checking of stores.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fastlayer_store::{
    DiffId, Durability, Error, IngestOptions, Keep, LayerInfo, Store, WriterOptions,
};
use fastlayer_tar::TRAILER;
use support::{TestStore, member, pseudo_random};

fn layer(store: &Store, seed: u64) -> LayerInfo {
    layer_with(store, seed, Durability::Now)
}

fn layer_with(store: &Store, seed: u64, durability: Durability) -> LayerInfo {
    let mut tar = Vec::new();
    member(&mut tar, "shared", &pseudo_random(50_000, 0));
    member(&mut tar, "own", &pseudo_random(300_000, seed));
    for number in 0..200 {
        member(
            &mut tar,
            &format!("small/{seed}/{number}"),
            &pseudo_random(900, seed + number),
        );
    }
    tar.extend_from_slice(&TRAILER);
    let options = IngestOptions {
        writer: WriterOptions {
            durability,
            ..WriterOptions::default()
        },
        ..IngestOptions::default()
    };
    store
        .ingest(Cursor::new(tar), options, &mut |_| {})
        .unwrap()
}

/// Files below the places of contents and layers.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

fn collect(store: &Store, layers: &[DiffId]) -> u64 {
    let keep = Keep {
        layers: layers.iter().copied().collect(),
        blobs: HashSet::new(),
        forget_exports: false,
    };
    let cancel = AtomicBool::new(false);
    let foretold = store.collectable(|| Ok(keep.clone()), &cancel).unwrap();
    let collected = store.collect(|| Ok(keep.clone()), &cancel).unwrap();
    assert!(!collected.postponed);
    assert_eq!(foretold, collected);
    collected.freed
}

fn fsck(store: &Store) -> Vec<(&'static str, String)> {
    let problems = store.fsck(&AtomicBool::new(false), &mut |_| {}).unwrap();
    problems
        .into_iter()
        .map(|problem| (problem.what, problem.name))
        .collect()
}

#[test]
fn a_store_is_private_and_knows_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("deep/store");
    assert!(matches!(
        Store::open(&root, false),
        Err(Error::NotFound { .. })
    ));
    let store = Store::open(&root, true).unwrap();
    assert_eq!(
        fs::metadata(&root).unwrap().permissions().mode() & 0o7777,
        0o700
    );
    Store::open(&root, false).unwrap();
    drop(store);
    fs::write(
        root.join("format.json"),
        r#"{"format": "fastlayer store", "version": 2}"#,
    )
    .unwrap();
    let error = Store::open(&root, true).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn a_directory_with_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "x").unwrap();
    let error = Store::open(directory.path(), true).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn somebody_elses_store_is_refused() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI runs these as root");
        eprintln!("skipped: needs root to give a directory away");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(12345), Some(12345)).unwrap();
    let error = Store::open(directory.path(), true).unwrap_err();
    assert!(
        error.to_string().contains("belongs to user 12345"),
        "{error}"
    );
}

#[test]
fn deferred_layers_become_durable_by_a_sync() {
    let store = TestStore::new();
    let info = layer_with(&store, 1, Durability::Deferred);
    assert!(files(&store.path().join("recipes")).is_empty());
    assert!(files(&store.path().join("objects")).is_empty());
    assert_eq!(store.layers().unwrap(), [info.diff_id]);
    assert!(fsck(&store).is_empty());
    store.sync().unwrap();
    assert!(files(&store.path().join("unsynced")).is_empty());
    assert_eq!(store.layers().unwrap(), [info.diff_id]);
    assert!(fsck(&store).is_empty());
    store.sync().unwrap();
}

/// Another token stands for a machine that was started anew.
#[test]
fn what_was_not_synced_is_gone_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let store = Store::open(&root, true).unwrap();
    let durable = layer(&store, 1);
    let lost = layer_with(&store, 2, Durability::Deferred);
    assert_eq!(store.layers().unwrap().len(), 2);
    let token = store.token().to_owned();
    drop(store);
    fs::rename(
        root.join("unsynced").join(token),
        root.join("unsynced/another-boot"),
    )
    .unwrap();
    // Half-written files, as a crash leaves them.
    for path in files(&root.join("unsynced/another-boot/objects")) {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
    }
    let store = Store::open(&root, false).unwrap();
    assert_eq!(store.layers().unwrap(), [durable.diff_id]);
    assert!(fsck(&store).is_empty());
    let again = layer_with(&store, 2, Durability::Now);
    assert_eq!(again.diff_id, lost.diff_id);
    assert!(again.added_bytes > 300_000);
    assert!(fsck(&store).is_empty());
}

#[test]
fn collection_keeps_what_is_kept_and_nothing_else() {
    let store = TestStore::new();
    let (first, second) = (
        layer(&store, 1),
        layer_with(&store, 2, Durability::Deferred),
    );
    let document = store.put_document(b"{}").unwrap();
    assert_eq!(store.get_document(&document).unwrap(), b"{}");
    let before = files(store.path()).len();
    assert_eq!(collect(&store, &[]).cmp(&0), std::cmp::Ordering::Greater);
    assert!(store.layers().unwrap().is_empty());
    assert!(matches!(
        store.get_document(&document),
        Err(Error::NotFound { .. })
    ));
    for place in [
        "objects", "segments", "recipes", "trees", "unsynced", "blobs",
    ] {
        assert!(files(&store.path().join(place)).is_empty(), "{place}");
    }
    assert!(files(store.path()).len() < before);

    layer(&store, 1);
    layer(&store, 2);
    let freed = collect(&store, &[first.diff_id]);
    assert!(freed > 300_000, "{freed}");
    assert_eq!(store.layers().unwrap(), [first.diff_id]);
    assert!(fsck(&store).is_empty());
    assert_eq!(collect(&store, &[first.diff_id, second.diff_id]), 0);
}

#[test]
fn fsck_tells_each_kind_of_damage() {
    let store = TestStore::new();
    let info = layer(&store, 1);
    let document = store.put_document(b"{\"a\":1}").unwrap();
    assert!(fsck(&store).is_empty());
    let root = store.path();
    let object = files(&root.join("objects")).remove(0);
    damage(&object, |bytes| bytes[0] ^= 1);
    let segment = files(&root.join("segments")).remove(0);
    damage(&segment, |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    damage(&root.join("blobs/sha256").join(document.hex()), |bytes| {
        bytes.truncate(3)
    });
    fs::write(root.join("objects/stray"), "").unwrap();
    let found: HashSet<&str> = fsck(&store).into_iter().map(|(what, _)| what).collect();
    assert_eq!(
        found,
        HashSet::from(["object", "segment", "blob", "name", "recipe"])
    );
    damage(&root.join("recipes").join(info.diff_id.hex()), |bytes| {
        bytes.truncate(200)
    });
    assert!(fsck(&store).contains(&("recipe", info.diff_id.to_string())));
}

#[test]
fn fsck_tells_missing_objects_and_foreign_trees() {
    let store = TestStore::new();
    let info = layer(&store, 1);
    let tree = store.path().join("trees").join(info.diff_id.hex());
    damage(&tree, |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    assert_eq!(fsck(&store), [("tree", info.diff_id.to_string())]);
    fs::remove_file(files(&store.path().join("objects")).remove(0)).unwrap();
    assert!(fsck(&store).contains(&("recipe", info.diff_id.to_string())));
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn many_writers_of_one_layer_get_along() {
    let store = TestStore::new();
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let store = Store::open(store.path(), false).unwrap();
            std::thread::spawn(move || layer(&store, 9).diff_id)
        })
        .collect();
    let names: HashSet<DiffId> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(names.len(), 1);
    assert!(fsck(&store).is_empty());
    assert!(files(&store.path().join("unsynced")).is_empty());
}

/// A file system of 3 MiB that is gone with the value; `None` where it may not be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = rustix::mount::mount(
            "tmpfs",
            directory.path(),
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            Some(c"size=3m"),
        );
        match mounted {
            Ok(()) => Some(Self(directory)),
            Err(errno) => {
                assert!(std::env::var_os("CI").is_none(), "CI must mount: {errno}");
                eprintln!("skipped: cannot mount a small file system: {errno}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_store_goes_on() {
    let Some(disk) = SmallDisk::new() else { return };
    let store = Store::open(&disk.0.path().join("store"), true).unwrap();
    let first = layer(&store, 1);
    let mut tar = Vec::new();
    member(&mut tar, "small", &pseudo_random(20_000, 7));
    member(&mut tar, "large", &pseudo_random(6_000_000, 8));
    let result = store.ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {});
    let Err(Error::Io { source, .. }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(store.layers().unwrap(), [first.diff_id]);
    assert!(fsck(&store).is_empty());
    collect(&store, &[first.diff_id]);
    layer(&store, 2);
    assert!(fsck(&store).is_empty());
}

/// A lease that finds no room keeps collection away; under it, collecting is refused instead of
/// waiting for itself.
#[test]
fn nobody_waits_for_a_lease_of_their_own_on_a_full_disk() {
    let Some(disk) = SmallDisk::new() else { return };
    let store = Store::open(&disk.0.path().join("store"), true).unwrap();
    let first = layer(&store, 1);
    let lease = store.lease().unwrap();
    let ballast = disk.0.path().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut file, &[1; 4096]).is_ok_and(|count| count > 0) {}
    assert!(store.layer(&first.diff_id).unwrap().is_some());
    let nothing = || Ok(fastlayer_store::collect::Keep::default());
    let refused = store.collect(nothing, &AtomicBool::new(false));
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    fs::remove_file(ballast).unwrap();
    drop(lease);
    assert!(collect(&store, &[]) > 0);
    assert!(store.layers().unwrap().is_empty());
}
