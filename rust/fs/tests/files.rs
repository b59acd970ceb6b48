//! Publishing, locking, copying, mapping, and metadata of files.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::sync::atomic::AtomicBool;

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::{
    Attributes, Directory, FileLock, Kind, Map, Metadata, Published, TemporaryFile, Timestamp,
    apply, copy, holes, set_metadata, write_atomic, xattr,
};

fn directory() -> (tempfile::TempDir, Directory) {
    let top = tempfile::tempdir().unwrap();
    let directory = Directory::open(top.path()).unwrap();
    (top, directory)
}

/// True when the process may make devices and give files away; else says why it skips.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI runs these as root");
        eprintln!("skipped: needs root");
    }
    root
}

#[test]
fn a_published_file_is_whole_and_the_first_wins() {
    let (top, directory) = directory();
    for (named, name) in [(false, &b"plain"[..]), (true, b"named")] {
        let make = |content: &[u8]| {
            let mut file = if named {
                TemporaryFile::named_in(&directory, 0o644).unwrap()
            } else {
                TemporaryFile::new_in(&directory, 0o644).unwrap()
            };
            file.file_mut().write_all(content).unwrap();
            file
        };
        let first = make(b"first");
        assert_eq!(first.publish(&directory, name).unwrap(), Published::New);
        let second = make(b"second");
        assert_eq!(second.publish(&directory, name).unwrap(), Published::Exists);
        let mut content = String::new();
        let mut file = directory.open_file(name).unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "first");
        make(b"third").replace(&directory, name).unwrap();
        assert_eq!(directory.stat_child(name).unwrap().size, 5);
        let twice = make(b"both");
        assert_eq!(twice.link(&directory, b"one").unwrap(), Published::New);
        assert_eq!(twice.link(&directory, b"one").unwrap(), Published::Exists);
        assert_eq!(twice.publish(&directory, b"two").unwrap(), Published::New);
        directory.unlink(b"one").unwrap();
        directory.unlink(b"two").unwrap();
        drop(make(b"dropped"));
    }
    assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 2);
}

#[test]
fn writing_replaces_in_one_step() {
    let (top, directory) = directory();
    write_atomic(&directory, b"state", 0o600, b"one", false).unwrap();
    write_atomic(&directory, b"state", 0o600, b"two", true).unwrap();
    assert_eq!(std::fs::read(top.path().join("state")).unwrap(), b"two");
    assert_eq!(directory.entries().unwrap().len(), 1);
}

#[test]
fn locks_exclude_and_end_with_their_holder() {
    let (_top, directory) = directory();
    let shared = FileLock::acquire(&directory, b"lock", LockMode::Shared).unwrap();
    let try_lock = |mode| FileLock::try_acquire(&directory, b"lock", mode).unwrap();
    assert!(try_lock(LockMode::Shared).is_some());
    assert!(try_lock(LockMode::Exclusive).is_none());
    let cancelled = AtomicBool::new(true);
    let refused =
        FileLock::acquire_unless(&directory, b"lock", LockMode::Exclusive, &cancelled).unwrap_err();
    assert_eq!(refused.io().kind(), std::io::ErrorKind::Interrupted);
    drop(shared);
    let held = try_lock(LockMode::Exclusive).unwrap();
    assert!(held.is_linked().unwrap());
    directory.unlink(b"lock").unwrap();
    assert!(!held.is_linked().unwrap());
}

#[test]
fn maps_read_like_the_file() {
    let (_top, directory) = directory();
    write_atomic(&directory, b"empty", 0o600, b"", false).unwrap();
    write_atomic(&directory, b"full", 0o600, &[7; 10_000], false).unwrap();
    for (name, length) in [(&b"empty"[..], 0), (b"full", 10_000)] {
        let file = directory.open_file(name).unwrap();
        let map = Map::of(&file, &directory.path_to(name)).unwrap();
        drop(file);
        assert_eq!(*map, vec![7; length][..]);
    }
}

#[test]
fn copies_are_equal() {
    let (_top, directory) = directory();
    let mut source = directory.create_file(b"source", 0o600).unwrap();
    let content: Vec<u8> = (0..700_000_u32).map(|number| number as u8).collect();
    source.write_all(&content).unwrap();
    source.rewind().unwrap();
    let destination = directory.create_file(b"destination", 0o600).unwrap();
    copy::clone_or_copy(&source, &destination).unwrap();
    assert_eq!(
        std::fs::read(directory.path_to(b"destination")).unwrap(),
        content
    );
    // A file of /proc says that it is empty, and is not.
    let odd = File::open("/proc/self/status").unwrap();
    let destination = directory.create_file(b"odd", 0o600).unwrap();
    assert!(copy::copy_all(&odd, &destination).unwrap() > 0);
}

#[test]
fn a13_holes_stay_holes_in_a_copy() {
    let (_top, directory) = directory();
    let source = directory.create_file(b"source", 0o600).unwrap();
    for (offset, content) in [
        (0, "begin"),
        (300 << 20, "middle"),
        (600 << 20, "near the end"),
    ] {
        source.write_all_at(content.as_bytes(), offset).unwrap();
    }
    source.set_len(700 << 20).unwrap();
    let destination = directory.create_file(b"destination", 0o600).unwrap();
    copy::clone_or_copy(&source, &destination).unwrap();
    let metadata = destination.metadata().unwrap();
    assert_eq!(metadata.len(), 700 << 20);
    assert!(metadata.blocks() * 512 < 1 << 20, "{}", metadata.blocks());
    for offset in [0, 299 << 20, 300 << 20, 600 << 20, 699 << 20] {
        let [mut found, mut expected] = [[1_u8; 64], [2_u8; 64]];
        destination.read_exact_at(&mut found, offset).unwrap();
        source.read_exact_at(&mut expected, offset).unwrap();
        assert_eq!(found, expected, "at {offset}");
    }
}

#[test]
fn holes_are_found() {
    let (_top, directory) = directory();
    let file = directory.create_file(b"sparse", 0o600).unwrap();
    file.set_len(10 << 20).unwrap();
    assert_eq!(holes::next_data(&file, 10 << 20, 10 << 20).unwrap(), None);
    file.write_all_at(b"x", 5 << 20).unwrap();
    let found = holes::next_data(&file, 0, 10 << 20).unwrap().unwrap();
    assert!(found.contains(&(5 << 20)));
    let after = holes::next_data(&file, found.end, 10 << 20).unwrap();
    assert!(found.start == 0 || after.is_none());
}

#[test]
fn metadata_is_applied_without_losing_any() {
    if !is_root() {
        return;
    }
    let (_top, directory) = directory();
    let mut xattrs = xattr::Attributes::new();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    xattrs.insert(b"security.capability".to_vec(), capability.to_vec());
    xattrs.insert(b"user.note".to_vec(), b"a\0b=\n".to_vec());
    let wanted = Attributes {
        mode: 0o6755,
        uid: 1234,
        gid: 4321,
        mtime: Some(Timestamp::new(-5, 7)),
        xattrs: &xattrs,
    };
    let file = directory.create_file(b"file", 0o600).unwrap();
    set_metadata(&file, &wanted, None, &directory.path_to(b"file")).unwrap();
    let found = directory.stat_child(b"file").unwrap();
    assert_eq!((found.mode, found.uid, found.gid), (0o6755, 1234, 4321));
    assert_eq!(found.mtime, Timestamp::new(-5, 7));
    assert_eq!(directory.xattrs(b"file").unwrap(), xattrs);
    assert!(found.is_unchanged_since(&Metadata::of(&file).unwrap()));

    let none = xattr::Attributes::new();
    let bare = Attributes {
        uid: u32::MAX,
        gid: u32::MAX,
        xattrs: &none,
        ..wanted
    };
    set_metadata(&file, &bare, None, &directory.path_to(b"file")).unwrap();
    assert_eq!(directory.stat_child(b"file").unwrap().uid, 1234);
    assert_eq!(directory.xattrs(b"file").unwrap(), xattrs);

    let wanted = Attributes {
        xattrs: &none,
        ..wanted
    };
    directory.symlink_at(b"/nowhere", b"link").unwrap();
    directory
        .mknod_at(b"pipe", Kind::Fifo, 0o600, (0, 0))
        .unwrap();
    directory
        .mknod_at(b"null", Kind::CharDevice, 0o600, (1, 3))
        .unwrap();
    directory
        .mknod_at(b"gone", Kind::CharDevice, 0o600, (0, 0))
        .unwrap();
    for name in [&b"link"[..], b"pipe", b"null", b"gone"] {
        let before = directory.stat_child(name).unwrap();
        apply::set_child_metadata(&directory, name, &wanted, &before).unwrap();
        let after = directory.stat_child(name).unwrap();
        assert_eq!((after.uid, after.gid), (1234, 4321));
        assert_eq!(after.mtime, Timestamp::new(-5, 7));
        assert_eq!(after.kind, before.kind);
        assert_eq!(after.is_whiteout_device(), name == b"gone");
        assert!(after.kind == Kind::Symlink || after.mode == 0o6755);
    }
    assert_eq!(directory.stat_child(b"null").unwrap().rdev, (1, 3));
}

#[test]
fn attributes_of_links_are_their_own() {
    if !is_root() {
        return;
    }
    let (_top, directory) = directory();
    directory.create_file(b"file", 0o600).unwrap();
    directory.symlink_at(b"file", b"link").unwrap();
    xattr::set_of_child(&directory, b"link", b"trusted.note", b"1").unwrap();
    assert!(!xattr::child_has_any(&directory, b"file").unwrap());
    assert!(xattr::child_has_any(&directory, b"link").unwrap());
    let value = xattr::get_of_child(&directory, b"link", b"trusted.note").unwrap();
    assert_eq!(value.as_deref(), Some(&b"1"[..]));
    xattr::remove_of_child(&directory, b"link", b"trusted.note").unwrap();
    xattr::remove_of_child(&directory, b"link", b"trusted.note").unwrap();
    assert!(directory.xattrs(b"link").unwrap().is_empty());
}

#[test]
fn long_attributes_are_read_whole() {
    let (_top, directory) = directory();
    let file = directory.create_file(b"file", 0o600).unwrap();
    let long = vec![b'v'; 2000];
    xattr::set(&file, b"user.long", &long).unwrap();
    for number in 0..20 {
        let name = format!("user.{number:020}");
        xattr::set(&file, name.as_bytes(), b"").unwrap();
    }
    let found = xattr::all(&file).unwrap();
    assert_eq!(found.len(), 21);
    assert_eq!(found[&b"user.long"[..]], long);
    assert_eq!(xattr::get(&file, b"user.none").unwrap(), None);
}

#[test]
fn an_attribute_that_is_refused_is_named() {
    let (_top, directory) = directory();
    let file = directory.create_file(b"file", 0o600).unwrap();
    let found = Metadata::of(&file).unwrap();
    let mut xattrs = xattr::Attributes::new();
    xattrs.insert(b"nonsense.note".to_vec(), b"1".to_vec());
    let wanted = Attributes {
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        mtime: None,
        xattrs: &xattrs,
    };
    let path = directory.path_to(b"file");
    let error = set_metadata(&file, &wanted, Some(&found), &path).unwrap_err();
    assert_eq!(error.errno(), Some(rustix::io::Errno::OPNOTSUPP));
    assert!(
        error.to_string().contains("file: nonsense.note: "),
        "{error}"
    );
}

#[test]
fn a_symbolic_link_gets_a_second_name() {
    let (top, directory) = directory();
    directory.symlink_at(b"target", b"link").unwrap();
    let link = directory.open_path(b"link").unwrap();
    directory.link_at(&link, b"by-descriptor").unwrap();
    directory
        .link_child_at(b"link", &directory, b"by-name")
        .unwrap();
    for name in [&b"by-descriptor"[..], b"by-name"] {
        assert_eq!(directory.read_link(name).unwrap(), b"target");
    }
    let found = std::fs::symlink_metadata(top.path().join("link")).unwrap();
    assert_eq!(found.nlink(), 3);
    assert_eq!(found.permissions().mode() & 0o7777, 0o777);
}
