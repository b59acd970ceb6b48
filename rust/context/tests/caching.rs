//! The stat cache: what is read again, what is not, and files that are not to be believed.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_context::stat_cache::Known;
use fastlayer_context::{ContentHash, Context, IgnoreMatcher, StatCache, WalkOptions};
use fastlayer_fs::{Directory, Kind, Metadata, xattr};
use proptest::prelude::*;

static GO_ON: AtomicBool = AtomicBool::new(false);

fn open(root: &Path, cache: &Path) -> Context {
    Context::open_root(root, IgnoreMatcher::default(), Some(cache)).unwrap()
}

/// Hashes the context and writes the cache; gives how many files had to be read.
fn hash(root: &Path, cache: &Path) -> usize {
    let context = open(root, cache);
    let mut walk = context.walk(b"", WalkOptions::default(), &GO_ON).unwrap();
    let unread = walk
        .entries
        .iter()
        .filter(|entry| entry.lacks_content())
        .count();
    context.hash(&mut walk.entries, &GO_ON).unwrap();
    for entry in &walk.entries {
        if entry.metadata.kind == Kind::File {
            let content = context.read(&entry.path).unwrap();
            assert_eq!(entry.content, Some(ContentHash::of(&content)));
        }
    }
    context.save().unwrap();
    unread
}

#[test]
fn the_hash_of_content_is_fixed() {
    assert_eq!(
        ContentHash::of(b"").to_string(),
        blake3::derive_key("fastlayer content v1", b"")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
}

#[test]
fn only_what_changed_is_read_again() {
    let top = tempfile::tempdir().unwrap();
    let (root, cache) = (top.path().join("root"), top.path().join("cache"));
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    for number in 0..50 {
        std::fs::write(root.join(format!("a/b/{number}")), vec![7; number * 997]).unwrap();
    }
    std::fs::write(root.join("big"), vec![9; 3 << 20]).unwrap();
    assert_eq!(hash(&root, &cache), 51);
    if !has_fine_times() {
        assert!(std::env::var_os("CI").is_none(), "CI needs Linux 6.13 here");
        eprintln!("skipped: this kernel cannot tell quick writes apart");
        return;
    }
    assert_eq!(hash(&root, &cache), 0);

    // The same size and the same time of change: the time of the inode tells.
    let path = root.join("a/b/20");
    let before = std::fs::metadata(&path).unwrap();
    std::fs::write(&path, vec![8; 20 * 997]).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (before.len(), before.mtime_nsec()),
        (after.len(), after.mtime_nsec())
    );
    assert_eq!(hash(&root, &cache), 1);

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::rename(root.join("a/b/21"), root.join("moved")).unwrap();
    assert!(hash(&root, &cache) <= 2);
    assert_eq!(hash(&root, &cache), 0);
}

#[test]
fn what_was_read_is_known_at_once() {
    let top = tempfile::tempdir().unwrap();
    std::fs::write(top.path().join("file"), "x").unwrap();
    let context = Context::open_root(top.path(), IgnoreMatcher::default(), None).unwrap();
    let walk = || context.walk(b"", WalkOptions::default(), &GO_ON).unwrap();
    let mut first = walk();
    assert!(first.entries[0].lacks_content());
    context.hash(&mut first.entries, &GO_ON).unwrap();
    assert_eq!(walk().entries[0].content.is_some(), has_fine_times());
    std::fs::write(top.path().join("file"), "y").unwrap();
    let second = walk();
    assert!(second.entries[0].lacks_content());
    let content = ContentHash::of(b"y");
    context.learn(&second.entries[0].metadata, content, false);
    assert_eq!(walk().entries[0].content.is_some(), has_fine_times());
}

#[test]
fn attributes_are_seen_though_cached() {
    let top = tempfile::tempdir().unwrap();
    let (root, cache) = (top.path().join("root"), top.path().join("cache"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let attributes = || {
        let walk = open(&root, &cache)
            .walk(b"", WalkOptions::default(), &GO_ON)
            .unwrap();
        walk.entries[0].xattrs.clone()
    };
    hash(&root, &cache);
    assert!(attributes().is_empty());
    let directory = Directory::open(&root).unwrap();
    xattr::set_of_child(&directory, b"file", b"user.note", b"1").unwrap();
    assert_eq!(attributes().len(), 1);
    hash(&root, &cache);
    assert_eq!(attributes().len(), 1);
}

#[test]
fn a_file_that_is_not_ours_is_ignored_and_replaced() {
    let top = tempfile::tempdir().unwrap();
    let (root, cache) = (top.path().join("root"), top.path().join("cache"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    hash(&root, &cache);
    let whole = std::fs::read(&cache).unwrap();
    assert!(!StatCache::load(&cache).is_empty());
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    let mut other_version = whole.clone();
    other_version[7] ^= 0xff;
    let longer = [whole.clone(), vec![0; 88]].concat();
    for bytes in [
        &whole[..whole.len() - 1],
        &whole[..20],
        b"",
        b"hello",
        &altered,
        &other_version,
        &longer,
    ] {
        std::fs::write(&cache, bytes).unwrap();
        assert!(StatCache::load(&cache).is_empty());
        assert_eq!(hash(&root, &cache), 1);
        assert!(!StatCache::load(&cache).is_empty());
    }
}

fn sample(dev: u64, ino: u64, ctime: i64) -> Metadata {
    Metadata {
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 5,
        mtime: fastlayer_fs::Timestamp::new(5, 6),
        ctime: fastlayer_fs::Timestamp::new(ctime, 7),
        birth: None,
        dev,
        ino,
        nlink: 1,
        rdev: (0, 0),
        blocks: 8,
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

const KNOWN: Known = Known {
    content: Some(ContentHash([3; 32])),
    has_xattrs: false,
};

#[test]
fn without_fine_times_a_fresh_change_is_not_believed() {
    let top = tempfile::tempdir().unwrap();
    for (fine_times, age, expected) in [(false, 1, false), (false, 10, true), (true, 0, true)] {
        let mut cache = StatCache::empty().with_fine_times(fine_times);
        let metadata = sample(1, 2, now() - age);
        cache.learn(&metadata, KNOWN);
        cache.save(&top.path().join("cache")).unwrap();
        assert_eq!(
            cache.lookup(&metadata).is_some(),
            expected,
            "{fine_times} {age}"
        );
    }
}

#[test]
fn d12_every_part_of_the_key_counts() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("cache");
    let mut cache = StatCache::empty();
    let known = sample(1, 2, 100);
    cache.learn(&known, KNOWN);
    cache.save(&path).unwrap();
    let cache = StatCache::load(&path);
    assert_eq!(cache.lookup(&known), Some(KNOWN));
    let time = fastlayer_fs::Timestamp::new(5, 5);
    let others = [
        Metadata { dev: 2, ..known },
        Metadata { ino: 3, ..known },
        Metadata { size: 6, ..known },
        Metadata {
            mode: 0o600,
            ..known
        },
        Metadata {
            kind: Kind::Symlink,
            ..known
        },
        Metadata {
            mtime: time,
            ..known
        },
        Metadata {
            ctime: time,
            ..known
        },
    ];
    for other in others {
        assert_eq!(cache.lookup(&other), None, "{other:?}");
    }
    let owned = Metadata {
        uid: 9,
        nlink: 4,
        blocks: 0,
        ..known
    };
    assert_eq!(cache.lookup(&owned), Some(KNOWN));
}

#[test]
fn rows_of_no_use_are_dropped_in_the_end() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("cache");
    let (used, unused) = (sample(1, 1, 100), sample(1, 2, 100));
    let mut cache = StatCache::empty();
    cache.learn(&used, KNOWN);
    cache.learn(&unused, KNOWN);
    cache.save(&path).unwrap();
    for number in 3..15 {
        let mut cache = StatCache::load(&path);
        assert_eq!(cache.lookup(&used), Some(KNOWN));
        cache.learn(&sample(1, number, 100), KNOWN);
        cache.save(&path).unwrap();
    }
    let cache = StatCache::load(&path);
    assert_eq!(cache.lookup(&used), Some(KNOWN));
    assert_eq!(cache.lookup(&unused), None);
}

fn has_fine_times() -> bool {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 13)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn the_file_holds_what_was_learned(
        batches in proptest::collection::vec(proptest::collection::vec((0_u64..3, 0_u64..40, 0_i64..3), 0..40), 1..4)
    ) {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("cache");
        let mut model = std::collections::BTreeMap::new();
        for batch in batches {
            let mut cache = StatCache::load(&path);
            for (dev, ino, ctime) in batch {
                let known = Known {
                    content: (ctime > 0).then_some(ContentHash([ctime as u8; 32])),
                    has_xattrs: ino % 2 == 0,
                };
                cache.learn(&sample(dev, ino, ctime), known);
                model.insert((dev, ino), (ctime, known));
            }
            cache.save(&path).unwrap();
        }
        let cache = StatCache::load(&path);
        prop_assert_eq!(cache.len(), model.len());
        for (&(dev, ino), &(ctime, known)) in &model {
            prop_assert_eq!(cache.lookup(&sample(dev, ino, ctime)), Some(known));
            prop_assert_eq!(cache.lookup(&sample(dev, ino, ctime + 1)), None);
        }
    }
}
