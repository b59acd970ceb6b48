//! Walks of real directories: what is left out, in which order, and what is not opened.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_context::{Context, Error, IgnoreMatcher, Walk, WalkOptions};
use fastlayer_fs::Kind;
use serde_json::Value;
use support::{cases, strings};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn context(root: &Path, patterns: &[&str]) -> Context {
    Context::open_root(root, IgnoreMatcher::new(patterns).unwrap(), None).unwrap()
}

fn walk(context: &Context, path: &str) -> Result<Walk, Error> {
    context.walk(path.as_bytes(), WalkOptions::default(), &GO_ON)
}

fn paths(walk: &Walk) -> Vec<String> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    walk.entries.iter().map(|entry| text(&entry.path)).collect()
}

fn write(root: &Path, path: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "content").unwrap();
}

/// The patterns of an ignore file, as far as these cases go: comments, blanks, a byte-order mark.
fn patterns(text: &str) -> Vec<String> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn whole_contexts_keep_and_lose_what_they_should() {
    let Some(document) = cases("context_cases.json") else {
        return;
    };
    for case in document["cases"].as_array().unwrap() {
        let dockerfile = case["dockerfile"].as_str().unwrap_or("Dockerfile");
        let ignore_files = &case["ignore_files"];
        let own = &ignore_files[format!("{dockerfile}.dockerignore")];
        let text = if own.is_null() {
            &ignore_files[".dockerignore"]
        } else {
            own
        };
        let top = tempfile::tempdir().unwrap();
        for path in strings(&case["context_files"]) {
            write(top.path(), &path);
        }
        let matcher = match IgnoreMatcher::new(patterns(text.as_str().unwrap())) {
            Ok(matcher) => matcher,
            Err(_) => {
                assert!(case["error"].is_string(), "{case}");
                continue;
            }
        };
        assert!(case["error"].is_null(), "{case}");
        let context = Context::open_root(top.path(), matcher, None).unwrap();
        let found = paths(&walk(&context, "").unwrap());
        for path in strings(&case["kept"]) {
            assert!(found.contains(&path), "{} keeps {path}", case["id"]);
        }
        for path in strings(&case["ignored"]) {
            assert!(!found.contains(&path), "{} loses {path}", case["id"]);
        }
    }
}

fn make_tree(root: &Path, tree: &Value) {
    for node in tree.as_array().unwrap() {
        let path = root.join(node["path"].as_str().unwrap());
        match node["type"].as_str().unwrap() {
            "dir" => std::fs::create_dir_all(path).unwrap(),
            "file" => std::fs::write(path, "content").unwrap(),
            _ => symlink(node["target"].as_str().unwrap(), path).unwrap(),
        }
    }
}

fn shown(walk: &Walk) -> Vec<String> {
    let kind = |entry: &fastlayer_context::Entry| match entry.metadata.kind {
        Kind::Directory => "dir".to_owned(),
        Kind::Symlink => format!("symlink:{}", String::from_utf8_lossy(&entry.link)),
        _ => "file".to_owned(),
    };
    walk.entries
        .iter()
        .map(|entry| format!("{} {}", kind(entry), String::from_utf8_lossy(&entry.path)))
        .collect()
}

/// One of fsutil's walks; false where it is about the one thing we do not have.
fn walk_case(case: &Value) -> bool {
    if case["follow"].is_array() {
        eprintln!(
            "skipped: {}: contexts are read in place, links are not chased",
            case["id"]
        );
        return false;
    }
    let top = tempfile::tempdir().unwrap();
    make_tree(top.path(), &case["tree"]);
    let stacked = case["exclude_filters_in_order"].as_array();
    let lists: Vec<Vec<String>> = match stacked {
        Some(lists) => lists.iter().map(strings).collect(),
        None => vec![strings(&case["exclude"]), Vec::new()],
    };
    let ignore = match IgnoreMatcher::new(&lists[0]) {
        Ok(matcher) => matcher,
        Err(_) => return case["error"].as_bool() == Some(true),
    };
    let exclude = IgnoreMatcher::new(&lists[1]).unwrap();
    let include = case["include"]
        .is_array()
        .then(|| strings(&case["include"]));
    let include = include.map(|patterns| IgnoreMatcher::new(patterns).unwrap());
    let options = WalkOptions {
        exclude: Some(&exclude),
        include: include.as_ref(),
    };
    let context = Context::open_root(top.path(), ignore, None).unwrap();
    let found = context.walk(b"", options, &GO_ON).unwrap();
    if case["walk"].is_array() {
        assert_eq!(shown(&found), strings(&case["walk"]), "{case}");
    }
    for path in strings(&case["readable"]) {
        assert!(paths(&found).contains(&path), "{case}");
    }
    for path in strings(&case["not_found"]) {
        assert!(!paths(&found).contains(&path), "{case}");
    }
    true
}

#[test]
fn fsutils_walks() {
    let Some(document) = cases("walk_cases.json") else {
        return;
    };
    let list = document["cases"].as_array().unwrap();
    // The last three are about permissions, which root has: see the next test.
    let (plain, locked) = list.split_at(list.len() - 3);
    assert!(
        locked
            .iter()
            .all(|case| case["note"].as_str().unwrap().contains("0000"))
    );
    let done = plain.iter().filter(|case| walk_case(case)).count();
    assert_eq!(done, plain.len() - 2);
}

#[test]
fn left_out_directories_are_not_opened() {
    use std::os::unix::fs::PermissionsExt;

    let top = tempfile::tempdir().unwrap();
    let locked = top.path().join("foo/bar");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
    let quiet = [vec!["**/bar"], vec!["**/bar", "!foo/bar/baz"]];
    for patterns in quiet {
        let found = walk(&context(top.path(), &patterns), "").unwrap();
        assert_eq!(paths(&found), ["foo"]);
    }
    let put_back = context(top.path(), &["**/bar", "!foo/bar"]);
    if rustix::process::geteuid().is_root() {
        // Root may open anything; the two above hold for it too.
        assert_eq!(paths(&walk(&put_back, "").unwrap()), ["foo", "foo/bar"]);
    } else {
        assert!(walk(&put_back, "").is_err());
    }
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn entries_come_in_the_order_of_components() {
    let top = tempfile::tempdir().unwrap();
    for path in ["a/z", "a.txt", "a-b/c", "a0", "B/x", "a/y/z"] {
        write(top.path(), path);
    }
    symlink("../elsewhere", top.path().join("a/link")).unwrap();
    let _socket = UnixListener::bind(top.path().join("socket")).unwrap();
    let context = context(top.path(), &[]);
    let found = walk(&context, "").unwrap();
    let expected = [
        "B", "B/x", "a", "a/link", "a/y", "a/y/z", "a/z", "a-b", "a-b/c", "a.txt", "a0",
    ];
    let mut by_component = expected;
    by_component.sort_by_key(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(paths(&found), by_component);
    let link = found
        .entries
        .iter()
        .find(|entry| entry.path == b"a/link")
        .unwrap();
    assert_eq!(link.link, b"../elsewhere");
    let below = walk(&context, "a").unwrap();
    assert_eq!(paths(&below), ["a/link", "a/y", "a/y/z", "a/z"]);
    assert_eq!(below.start.path, b"a");
    assert!(walk(&context, "a.txt").unwrap().entries.is_empty());
}

#[test]
fn what_is_asked_for_is_missing_or_left_out() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), "docs/a.md");
    write(top.path(), "docs/b/c.md");
    write(top.path(), "src/x");
    let context = context(top.path(), &["docs", "!docs/b", "src"]);
    assert!(matches!(
        walk(&context, "none"),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        walk(&context, "src/x/y"),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(walk(&context, "src"), Err(Error::Ignored { .. })));
    assert!(matches!(
        walk(&context, "src/x"),
        Err(Error::Ignored { .. })
    ));
    assert!(matches!(
        walk(&context, "docs/a.md"),
        Err(Error::Ignored { .. })
    ));
    let docs = walk(&context, "docs").unwrap();
    assert!(docs.start_ignored);
    assert_eq!(paths(&docs), ["docs/b", "docs/b/c.md"]);
    let stop = AtomicBool::new(true);
    let interrupted = context.walk(b"", WalkOptions::default(), &stop);
    assert!(matches!(interrupted, Err(Error::Interrupted)));
}

#[test]
fn links_are_followed_inside_the_context_only() {
    let outer = tempfile::tempdir().unwrap();
    write(outer.path(), "secret");
    write(outer.path(), "context/real/file");
    let root = outer.path().join("context");
    symlink("../secret", root.join("out")).unwrap();
    symlink("/real", root.join("inside")).unwrap();
    let context = context(&root, &["real/file"]);
    assert_eq!(context.read(b"inside/file").unwrap(), b"content");
    assert_eq!(
        context.read(b"../../real/../real/file").unwrap(),
        b"content"
    );
    assert_eq!(
        context.resolve(b"/inside/./file", true).unwrap(),
        b"real/file"
    );
    assert_eq!(context.resolve(b"inside", false).unwrap(), b"inside");
    assert_eq!(context.resolve(b"", true).unwrap(), b"");
    let error = context.read(b"out").unwrap_err();
    assert_eq!(
        error.to_string(),
        "out is a link to ../secret, which is not inside the build context"
    );
    assert!(matches!(context.read(b"none"), Err(Error::NotFound { .. })));
    assert!(matches!(context.read(b"real"), Err(Error::NotAFile { .. })));
}

#[test]
fn wildcards_find_what_is_not_left_out() {
    let top = tempfile::tempdir().unwrap();
    for path in [
        "a/1.txt",
        "a/2.txt",
        "a/3.md",
        "b/1.txt",
        "b/deep/4.txt",
        "c.txt",
        "d[0].txt",
    ] {
        write(top.path(), path);
    }
    symlink("b", top.path().join("link")).unwrap();
    let context = context(top.path(), &["a/2.txt", "b/deep", "!b/deep/4.txt"]);
    let glob = |pattern: &str| {
        let found = context.glob(pattern.as_bytes()).unwrap();
        let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
        found.into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(glob("*.txt"), ["c.txt", "d[0].txt"]);
    assert_eq!(glob("*/*.txt"), ["a/1.txt", "b/1.txt"]);
    assert_eq!(glob("link/*.txt"), ["b/1.txt"]);
    assert_eq!(glob("l*"), ["link"]);
    assert_eq!(glob("b/*"), ["b/1.txt", "b/deep"]);
    assert_eq!(glob("d[[]0].txt"), ["d[0].txt"]);
    assert_eq!(glob("none/*"), [""; 0]);
    assert!(matches!(context.glob(b"a/[*"), Err(Error::Pattern { .. })));
}
