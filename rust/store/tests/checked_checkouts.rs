//! Checkouts that are not what their tree indexes say: each kind of difference is told, and a
//! repair drops the checkout.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, IngestOptions, Level, Store};
use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header};
use support::{TestStore, member, pseudo_random};

fn never() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

fn other(tar: &mut Vec<u8>, path: &str, kind: EntryKind, target: &str) {
    let mut entry = Entry::new(path, kind);
    entry.mode = 0o755;
    entry.link = target.into();
    encode_header(&entry, tar).unwrap();
}

/// A layer with a directory, files of both sizes, a link of each kind and a deletion.
fn layer(store: &Store) -> DiffId {
    let mut tar = Vec::new();
    other(&mut tar, "d", EntryKind::Directory, "");
    member(&mut tar, "d/large", &pseudo_random(50_000, 1));
    member(&mut tar, "d/small", b"small");
    member(&mut tar, "d/.wh.gone", b"");
    other(&mut tar, "d/hard", EntryKind::Hardlink, "d/large");
    other(&mut tar, "d/soft", EntryKind::Symlink, "small");
    tar.extend_from_slice(&TRAILER);
    store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap()
        .diff_id
}

fn checkout(store: &Store, chain: &[DiffId]) -> PathBuf {
    store
        .checkout(chain, &never())
        .unwrap()
        .directories
        .remove(0)
}

fn problems(store: &Store, level: Level) -> Vec<String> {
    let found = store.fsck_to(level, &never(), &mut |_| {}).unwrap();
    found
        .into_iter()
        .map(|problem| format!("{}: {}", problem.what, problem.detail))
        .collect()
}

/// Replaces a file, so that its object is left alone.
fn replace(path: &Path, content: &[u8]) {
    let metadata = fs::metadata(path).unwrap();
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, metadata.permissions()).unwrap();
    let time = metadata.modified().unwrap();
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Each change keeps the time of the directory that it is made in, which would differ as well.
fn differing(change: impl FnOnce(&Path)) -> Vec<String> {
    let store = TestStore::new();
    let diff_id = layer(&store);
    let tree = checkout(&store, &[diff_id]);
    assert_eq!(problems(&store, Level::Checkouts), Vec::<String>::new());
    let directory = tree.join("d");
    let time = fs::metadata(&directory).unwrap().modified().unwrap();
    change(&directory);
    fs::File::open(&directory)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(problems(&store, Level::Layers), Vec::<String>::new());
    let found = problems(&store, Level::Checkouts);
    let repaired = store.repair(&never()).unwrap();
    assert_eq!(repaired.left, []);
    assert!(!tree.exists());
    let tree = checkout(&store, &[diff_id]);
    assert_eq!(fs::read(tree.join("d/small")).unwrap(), b"small");
    assert_eq!(problems(&store, Level::Checkouts), Vec::<String>::new());
    found
}

fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI runs these as root");
    eprintln!("skipped: needs root, as checkouts with deletions do");
    false
}

#[test]
fn each_difference_of_a_checkout_is_told() {
    if !is_root() {
        return;
    }
    let tell = |change: fn(&Path)| differing(change);
    for (change, expected) in [
        (
            (|d| replace(&d.join("small"), b"other")) as fn(&Path),
            "/d/small has another content",
        ),
        (
            |d| replace(&d.join("small"), b"longer content"),
            "/d/small has 14 bytes, not 5",
        ),
        (
            |d| fs::remove_file(d.join("small")).unwrap(),
            "/d/small is missing",
        ),
        (
            |d| fs::write(d.join("stray"), "x").unwrap(),
            "/d/stray should not be there",
        ),
        (
            |d| {
                let mode = fs::Permissions::from_mode(0o600);
                fs::set_permissions(d.join("small"), mode).unwrap();
            },
            "/d/small has mode 0600, not 0644",
        ),
        (
            |d| std::os::unix::fs::chown(d.join("small"), Some(7), Some(8)).unwrap(),
            "/d/small belongs to 7:8, not to 0:0",
        ),
        (
            |d| {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(77);
                let file = fs::File::open(d.join("small")).unwrap();
                file.set_modified(time).unwrap();
            },
            "/d/small has the time 77, not 0",
        ),
        (
            |d| fs::remove_file(d.join("gone")).unwrap(),
            "/d/gone is missing",
        ),
        (
            |d| {
                fs::remove_file(d.join("small")).unwrap();
                fs::create_dir(d.join("small")).unwrap();
            },
            "/d/small is of another type",
        ),
    ] {
        assert_eq!(tell(change), [format!("checkout: {expected}")]);
    }
}

#[test]
fn links_and_attributes_of_a_checkout_are_compared() {
    if !is_root() {
        return;
    }
    let found = differing(|d| {
        fs::remove_file(d.join("hard")).unwrap();
        fs::copy(d.join("large"), d.join("hard")).unwrap();
        let time = fs::metadata(d.join("large")).unwrap().modified().unwrap();
        let copy = fs::File::open(d.join("hard")).unwrap();
        copy.set_modified(time).unwrap();
    });
    assert_eq!(
        found,
        ["checkout: /d/large is no hard link of its file"],
        "the first path in order is taken for the file"
    );
    let found = differing(|d| {
        fs::remove_file(d.join("soft")).unwrap();
        std::os::unix::fs::symlink("large", d.join("soft")).unwrap();
    });
    assert!(found[0].contains("/d/soft"), "{found:?}");
    let found = differing(|d| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(d, c"trusted.overlay.opaque", b"y", flags).unwrap();
        rustix::fs::setxattr(d.join("small"), c"user.more", b"1", flags).unwrap();
    });
    assert_eq!(found, ["checkout: /d is opaque, and 1 more differences"]);
}

#[test]
fn an_object_comes_back_from_a_checkout_that_is_linked_to_it() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    member(&mut tar, "one", &pseudo_random(50_000, 1));
    member(&mut tar, "two", &pseudo_random(50_000, 1));
    tar.extend_from_slice(&TRAILER);
    let made = store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let tree = checkout(&store, &[made.diff_id]);
    let objects = || -> Vec<PathBuf> {
        let shards = fs::read_dir(store.path().join("objects")).unwrap();
        shards
            .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let object = objects().remove(0);
    let inode = fs::metadata(&object).unwrap().ino();
    fs::remove_file(&object).unwrap();
    let repaired = store.repair(&never()).unwrap();
    assert_eq!(repaired.left, []);
    assert_eq!(fs::metadata(objects().remove(0)).unwrap().ino(), inode);
    assert!(tree.exists(), "it is as it was");

    // Bytes that are wrong are wrong in every link; the other file of the checkout is a copy.
    fs::write(&objects()[0], pseudo_random(50_000, 2)).unwrap();
    let repaired = store.repair(&never()).unwrap();
    assert_eq!(repaired.left, []);
    assert!(!tree.exists());
    let mut out = Vec::new();
    store.write_tar(&made.diff_id, &mut out, &never()).unwrap();
    assert!(out == tar);
}
