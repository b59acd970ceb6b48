//! Names in directories, and removal of whole trees.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::os::unix::fs::symlink;

use fastlayer_fs::{Directory, Kind, remove_tree};
use proptest::prelude::*;
use rustix::io::Errno;

#[test]
fn names_are_sorted_bytes_with_their_kind() {
    let top = tempfile::tempdir().unwrap();
    let directory = Directory::open(top.path()).unwrap();
    directory.create_file(b"\xff\xfe", 0o600).unwrap();
    directory.create_file(b"a.txt", 0o600).unwrap();
    directory.mkdir_at(b"a", 0o755).unwrap();
    directory.symlink_at(b"a", b"B").unwrap();
    for _ in 0..2 {
        let entries = directory.entries().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_vec()).collect();
        assert_eq!(names, [&b"B"[..], b"a", b"a.txt", b"\xff\xfe"]);
        assert_eq!(entries.get(0).unwrap().kind, Some(Kind::Symlink));
        assert_eq!(entries.get(1).unwrap().kind, Some(Kind::Directory));
        assert!(entries.get(4).is_none());
    }
}

#[test]
fn a_name_is_one_component() {
    let top = tempfile::tempdir().unwrap();
    let directory = Directory::open(top.path()).unwrap();
    for name in [&b""[..], b".", b"..", b"a/b", b"/etc"] {
        let error = directory.stat_child(name).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::INVAL));
        assert!(directory.mkdir_at(name, 0o755).is_err());
    }
    assert!(directory.find_child(b"none").unwrap().is_none());
}

#[test]
fn links_are_not_opened_as_what_they_name() {
    let top = tempfile::tempdir().unwrap();
    symlink("/etc", top.path().join("directory")).unwrap();
    symlink("/etc/passwd", top.path().join("file")).unwrap();
    let directory = Directory::open(top.path()).unwrap();
    assert!(directory.open_child(b"directory").is_err());
    assert!(directory.open_file(b"file").is_err());
    assert!(directory.open_or_create_file(b"file", 0o600).is_err());
}

#[test]
fn renaming_does_not_replace() {
    let top = tempfile::tempdir().unwrap();
    let directory = Directory::open(top.path()).unwrap();
    directory.create_file(b"from", 0o600).unwrap();
    directory.create_file(b"to", 0o600).unwrap();
    let error = directory
        .rename_noreplace(b"from", &directory, b"to")
        .unwrap_err();
    assert!(error.is_exists());
    directory
        .rename_noreplace(b"from", &directory, b"new")
        .unwrap();
    directory.rename_to(b"new", &directory, b"to").unwrap();
    assert_eq!(directory.entries().unwrap().len(), 1);
}

#[test]
fn removal_stays_in_the_tree() {
    let top = tempfile::tempdir().unwrap();
    let outside = top.path().join("outside");
    let tree = top.path().join("tree");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "x").unwrap();
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    symlink(&outside, tree.join("a/link")).unwrap();
    symlink("../..", tree.join("a/b/up")).unwrap();
    std::fs::write(tree.join("a/file"), "x").unwrap();
    let directory = Directory::open(top.path()).unwrap();
    remove_tree(&directory, b"tree").unwrap();
    remove_tree(&directory, b"tree").unwrap();
    assert!(!tree.exists());
    assert!(outside.join("kept").exists());
    symlink(&outside, &tree).unwrap();
    remove_tree(&directory, b"tree").unwrap();
    assert!(outside.join("kept").exists());
}

#[test]
fn deep_trees_are_removed_with_few_descriptors() {
    let top = tempfile::tempdir().unwrap();
    let root = Directory::open(top.path()).unwrap();
    let mut at = root.ensure_child(b"deep", 0o755).unwrap();
    for level in 0..3000 {
        if level % 50 == 0 {
            at.create_file(b"file", 0o600).unwrap();
        }
        at = at.ensure_child(b"d", 0o755).unwrap();
    }
    drop(at);
    remove_tree(&root, b"deep").unwrap();
    assert!(root.entries().unwrap().is_empty());
}

#[test]
fn locked_directories_are_removed() {
    use std::os::unix::fs::PermissionsExt;

    let top = tempfile::tempdir().unwrap();
    let inner = top.path().join("tree/inner");
    std::fs::create_dir_all(inner.join("below")).unwrap();
    for path in [&inner.join("below"), &inner] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o000)).unwrap();
    }
    remove_tree(&Directory::open(top.path()).unwrap(), b"tree").unwrap();
    assert!(!top.path().join("tree").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn what_is_made_is_listed(names in proptest::collection::btree_set("[ -.0-~]{1,40}", 0..200)) {
        let top = tempfile::tempdir().unwrap();
        let directory = Directory::open(top.path()).unwrap();
        let names: Vec<_> = names.into_iter().filter(|name| name != "." && name != "..").collect();
        for name in &names {
            directory.create_file(name.as_bytes(), 0o600).unwrap();
        }
        let entries = directory.entries().unwrap();
        let listed: Vec<_> = entries.iter().map(|entry| entry.name.to_vec()).collect();
        let expected: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        prop_assert_eq!(listed, expected);
    }
}
