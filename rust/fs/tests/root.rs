//! Resolution in a root: with and without `openat2`, with the same results.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use fastlayer_fs::{Directory, Metadata, RootDir};
use proptest::prelude::*;
use rustix::io::Errno;

fn both(path: &Path) -> [RootDir; 2] {
    [
        RootDir::open(path).unwrap(),
        RootDir::stepwise(Directory::open(path).unwrap()),
    ]
}

fn fixture() -> tempfile::TempDir {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("secret"), "outside").unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::create_dir(root.join("etc")).unwrap();
    std::fs::write(root.join("a/b/file"), "inside").unwrap();
    std::fs::write(root.join("secret"), "inside").unwrap();
    symlink("/secret", root.join("absolute")).unwrap();
    symlink("../../../../secret", root.join("a/escape")).unwrap();
    symlink("b", root.join("a/link")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("nothing", root.join("dangling")).unwrap();
    symlink("a/b/", root.join("slashed")).unwrap();
    outer
}

#[test]
fn links_and_parents_stay_inside() {
    let outer = fixture();
    for root in both(&outer.path().join("root")) {
        let found: &[&[u8]] = &[
            b"absolute",
            b"a/escape",
            b"../../secret",
            b"/secret",
            b"a/b/../../secret",
            b"a/link/../../secret",
            b"//./secret",
            b"a/link/file",
            b"slashed/file",
        ];
        for path in found {
            let file = root.open_file(path).unwrap();
            assert_eq!(std::io::read_to_string(file).unwrap(), "inside");
        }
        for path in [&b""[..], b"/", b".", b"..", b"a/.."] {
            let opened = root.open_directory(path).unwrap();
            assert_eq!(
                opened.metadata().unwrap().ino,
                root.directory().metadata().unwrap().ino
            );
        }
    }
}

#[test]
fn errors_are_the_kernels() {
    let outer = fixture();
    for root in both(&outer.path().join("root")) {
        let errno = |path: &[u8]| root.open_file(path).unwrap_err().errno().unwrap();
        assert_eq!(errno(b"loop"), Errno::LOOP);
        assert_eq!(errno(b"dangling"), Errno::NOENT);
        assert_eq!(errno(b"secret/"), Errno::NOTDIR);
        assert_eq!(errno(b"secret/.."), Errno::NOTDIR);
        assert_eq!(errno(b"a/none/.."), Errno::NOENT);
        assert_eq!(errno(b"absolute/"), Errno::NOTDIR);
        let error = root.open_directory(b"/secret").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::NOTDIR));
        assert!(error.path().ends_with("root/secret"));
    }
}

#[test]
fn the_last_link_is_opened_itself_on_request() {
    let outer = fixture();
    for root in both(&outer.path().join("root")) {
        let kind = |path: &[u8], follow| {
            Metadata::of(root.open_path(path, follow).unwrap())
                .unwrap()
                .kind
        };
        assert_eq!(kind(b"a/link", false), fastlayer_fs::Kind::Symlink);
        assert_eq!(kind(b"a/link", true), fastlayer_fs::Kind::Directory);
        assert_eq!(kind(b"a/link/", false), fastlayer_fs::Kind::Directory);
        assert_eq!(kind(b"a/link/.", false), fastlayer_fs::Kind::Directory);
    }
}

#[test]
fn magic_links_are_refused() {
    for root in both(Path::new("/proc")) {
        let error = root.open_file(b"self/exe").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::LOOP));
    }
}

#[test]
fn directories_are_made_inside() {
    let outer = fixture();
    for (number, root) in both(&outer.path().join("root")).into_iter().enumerate() {
        let path = format!("/absolute-{number}/x/../y/z");
        root.ensure_directory(path.as_bytes(), 0o755).unwrap();
        let made = outer.path().join(format!("root/absolute-{number}/y/z"));
        assert!(made.is_dir());
        assert!(root.ensure_directory(b"dangling/x", 0o755).is_err());
        let (parent, name) = root.open_parent(b"a/link/new//").unwrap();
        assert_eq!(name, b"new");
        assert!(parent.stat_child(b"file").is_ok());
        assert!(root.open_parent(b"/").is_err());
        assert!(root.open_parent(b"a/..").is_err());
    }
}

#[test]
fn depth_and_length_have_no_limit() {
    let top = tempfile::tempdir().unwrap();
    let mut at = Directory::open(top.path()).unwrap();
    let mut path = Vec::new();
    for _ in 0..300 {
        at = at.ensure_child(&[b'n'; 60], 0o755).unwrap();
        path.extend_from_slice(&[b'n'; 60]);
        path.push(b'/');
    }
    path.pop();
    let deep = at.metadata().unwrap().ino;
    let root = Directory::open(top.path()).unwrap();
    assert_eq!(
        root.open_descendant(&path).unwrap().metadata().unwrap().ino,
        deep
    );
    for root in both(top.path()) {
        let opened = root.open_directory(&path).unwrap();
        assert_eq!(opened.metadata().unwrap().ino, deep);
    }
    fastlayer_fs::remove_tree(&root, &[b'n'; 60]).unwrap();
}

#[test]
fn descendants_are_not_reached_through_links() {
    let outer = fixture();
    let root = Directory::open(outer.path().join("root")).unwrap();
    assert!(root.open_descendant(b"a/b").is_ok());
    assert!(root.open_descendant(b"").is_ok());
    for path in [&b"a/link"[..], b"slashed", b"..", b"a/../..", b"/etc"] {
        assert!(root.open_descendant(path).is_err(), "{path:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn both_ways_find_the_same(
        links in proptest::collection::vec(("[abc]", "(/|)([abc.]|\\.\\.)(/([abc]|\\.\\.)){0,2}/?"), 0..6),
        paths in proptest::collection::vec("(/|)([abc]|\\.|\\.\\.)(/([abc]|\\.\\.)){0,3}/?", 1..12),
    ) {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        for directory in ["a/b/c", "b/a", "c"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("c/a"), "x").unwrap();
        for (number, (name, target)) in links.iter().enumerate() {
            let parent = ["a", "b", "c", "a/b", ""][number % 5];
            // A taken name stays what it is.
            let _ = symlink(target, root.join(parent).join(name));
        }
        let [quick, stepwise] = both(&root);
        for path in &paths {
            for follow in [true, false] {
                let identity = |root: &RootDir| {
                    root.open_path(path.as_bytes(), follow)
                        .map(|fd| Metadata::of(fd.as_fd()).unwrap().ino)
                        .map_err(|error| error.errno())
                };
                prop_assert_eq!(identity(&quick), identity(&stepwise), "{} {}", path, follow);
            }
        }
    }
}
