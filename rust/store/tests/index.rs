//! The tree index against a naive model of a layer, and against hostile bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;

use fastlayer_store::ContentId;
use fastlayer_store::index::{EntryRef, IndexBuilder, IndexEntry, IndexError, Kind, TreeIndex};
use proptest::prelude::*;

fn entry(path: &[u8], kind: Kind) -> IndexEntry {
    let mut entry = IndexEntry::new(path.to_vec(), kind);
    entry.mode = 0o644;
    entry
}

fn index(builder: IndexBuilder) -> TreeIndex {
    TreeIndex::new(builder.finish().unwrap()).unwrap()
}

fn paths(index: &TreeIndex) -> Vec<Vec<u8>> {
    index
        .iter()
        .map(|row| row.unwrap().path().unwrap())
        .collect()
}

#[test]
fn everything_comes_back() {
    let mut written = entry(b"usr/bin/passwd", Kind::File);
    written.mode = 0o4755;
    written.uid = 7;
    written.gid = u32::MAX;
    written.mtime.seconds = -5;
    written.mtime.nanoseconds = 999_999_999;
    written.size = 1 << 40;
    written.xattrs = BTreeMap::from([
        (b"security.capability".to_vec(), vec![0, 255, 10]),
        (b"user.empty".to_vec(), Vec::new()),
    ]);
    written.content = Some(ContentId::of(b"x"));
    written.data_offset = 1 << 41;
    let mut builder = IndexBuilder::new();
    builder.push(written.clone()).unwrap();
    let index = index(builder);
    let row = index.get(b"usr/bin/passwd").unwrap().unwrap();
    assert_eq!(row.to_entry().unwrap(), written);
    assert!(index.depends_on_parents(), "usr and usr/bin have no entry");
    let parent = index.get(b"usr/bin").unwrap().unwrap();
    assert!(parent.implicit());
    assert_eq!(parent.mode(), 0o755);
}

#[test]
fn only_a_directory_takes_the_roots_place() {
    let mut builder = IndexBuilder::new();
    builder.push(entry(b"", Kind::File)).unwrap();
    builder.push(entry(b"", Kind::Symlink)).unwrap();
    builder.push(entry(b"a", Kind::File)).unwrap();
    let mut deleted = entry(b"", Kind::Whiteout);
    deleted.mode = 0;
    assert!(matches!(
        builder.push(deleted),
        Err(IndexError::Conflict { .. })
    ));
    let index = index(builder);
    assert_eq!(paths(&index), [b"".to_vec(), b"a".to_vec()]);
    assert_eq!(index.root().unwrap().kind(), Kind::Directory);
}

#[test]
fn order_is_by_component() {
    let mut builder = IndexBuilder::new();
    for path in [&b"a-b"[..], b"a", b"a/z", b"a.c", b"a/b", b"a/b/c"] {
        let kind = if [&b"a"[..], b"a/b"].contains(&path) {
            Kind::Directory
        } else {
            Kind::File
        };
        builder.push(entry(path, kind)).unwrap();
    }
    let index = index(builder);
    let expected: Vec<&[u8]> = vec![b"", b"a", b"a/b", b"a/b/c", b"a/z", b"a-b", b"a.c"];
    assert_eq!(paths(&index), expected);
    let a = index.get(b"a").unwrap().unwrap();
    let children: Vec<_> = a
        .children()
        .map(|row| row.unwrap().name().to_vec())
        .collect();
    assert_eq!(children, [b"b".to_vec(), b"z".to_vec()]);
    assert!(!index.depends_on_parents());
}

#[test]
fn the_last_entry_of_a_path_wins() {
    let mut builder = IndexBuilder::new();
    builder.push(entry(b"d", Kind::Directory)).unwrap();
    builder.push(entry(b"d/x", Kind::File)).unwrap();
    builder.push(entry(b"d", Kind::File)).unwrap();
    assert_eq!(paths(&index(builder)), [b"".to_vec(), b"d".to_vec()]);
}

#[test]
fn whiteouts_concern_lower_layers_only() {
    for whiteout_first in [true, false] {
        let mut builder = IndexBuilder::new();
        let file = entry(b"d/f", Kind::File);
        let whiteout = entry(b"d", Kind::Whiteout);
        let order = if whiteout_first {
            [whiteout, file]
        } else {
            [file, whiteout]
        };
        for entry in order {
            builder.push(entry).unwrap();
        }
        let index = index(builder);
        let directory = index.get(b"d").unwrap().unwrap();
        assert_eq!(directory.kind(), Kind::Directory);
        assert!(directory.opaque() && directory.replaces());
        assert!(index.get(b"d/f").unwrap().is_some());
    }
}

#[test]
fn links_of_the_layer_are_followed_inside_its_root() {
    let mut builder = IndexBuilder::new();
    let mut link = entry(b"dummy/etc", Kind::Symlink);
    link.link_target = b"/../../etc".to_vec();
    builder.push(link).unwrap();
    builder
        .push(entry(b"dummy/etc/unbroken", Kind::File))
        .unwrap();
    let mut hard = entry(b"copy", Kind::File);
    hard.hardlink = Some(b"dummy/etc/unbroken".to_vec());
    builder.push(hard).unwrap();
    let index = index(builder);
    let unbroken = index.get(b"etc/unbroken").unwrap().unwrap();
    assert_eq!(
        unbroken.hardlink().unwrap().unwrap().path().unwrap(),
        b"copy"
    );
}

#[test]
fn a_hard_link_keeps_the_inode_it_was_made_to() {
    let mut builder = IndexBuilder::new();
    let mut old = entry(b"a", Kind::File);
    old.size = 1;
    builder.push(old).unwrap();
    let mut link = entry(b"b", Kind::File);
    link.hardlink = Some(b"a".to_vec());
    builder.push(link).unwrap();
    let mut new = entry(b"a", Kind::File);
    new.size = 2;
    builder.push(new).unwrap();
    let mut lower = entry(b"c", Kind::File);
    lower.hardlink = Some(b"elsewhere".to_vec());
    builder.push(lower).unwrap();
    let index = index(builder);
    assert_eq!(index.get(b"a").unwrap().unwrap().size(), 2);
    let b = index.get(b"b").unwrap().unwrap();
    assert_eq!((b.size(), b.hardlink().unwrap().is_none()), (1, true));
    let c = index.get(b"c").unwrap().unwrap();
    assert_eq!(
        (c.kind(), c.link_target().unwrap()),
        (Kind::LowerLink, &b"elsewhere"[..])
    );
    assert!(index.depends_on_parents());
}

#[test]
fn conflicts_are_refused() {
    let mut builder = IndexBuilder::new();
    builder.push(entry(b"f", Kind::File)).unwrap();
    let error = builder.push(entry(b"f/x", Kind::File)).unwrap_err();
    assert!(matches!(error, IndexError::Conflict { .. }), "{error}");
    let mut circle = entry(b"circle", Kind::Symlink);
    circle.link_target = b"circle".to_vec();
    builder.push(circle).unwrap();
    assert!(builder.push(entry(b"circle/x", Kind::File)).is_err());
}

#[test]
fn a_deep_path_takes_its_bytes_once() {
    let mut path = Vec::new();
    for _ in 0..2047 {
        path.extend_from_slice(b"directory/");
    }
    path.extend_from_slice(b"file");
    let mut builder = IndexBuilder::new();
    builder.push(entry(&path, Kind::File)).unwrap();
    let bytes = builder.finish().unwrap();
    assert!(bytes.len() < 400_000, "{} bytes", bytes.len());
    let index = TreeIndex::new(bytes).unwrap();
    assert!(index.get(&path).unwrap().is_some());
}

/// Rows below two directories: followed, they would be walked again and again.
#[test]
fn subtrees_that_overlap_are_damage() {
    let mut builder = IndexBuilder::new();
    for path in ["a", "a/b", "c"] {
        let entry = entry(path.as_bytes(), Kind::Directory);
        builder.push(entry).unwrap();
    }
    let mut bytes = builder.finish().unwrap();
    let sound = TreeIndex::new(bytes.clone()).unwrap();
    let children = |index: &TreeIndex| {
        let a = index.row(1).unwrap();
        a.children().map(|row| row.map(drop)).collect::<Vec<_>>()
    };
    assert_eq!(children(&sound), [Ok(())]);
    // The end of the row of `a/b` reaches over `c`.
    assert_eq!(bytes[place(2, END)], 3);
    bytes[place(2, END)] = 4;
    let damaged = TreeIndex::new(bytes).unwrap();
    let expected = IndexError::Corrupt("a row is not below its directory");
    assert_eq!(children(&damaged), [Err(expected)]);
}

const NAME: usize = 0;
const PARENT: usize = 8;
const END: usize = 12;

/// Where a field of a row is in the file.
fn place(row: usize, field: usize) -> usize {
    64 + 90 * row + field
}

/// What a reader must not take for a tree: each is refused where it is met, and nothing is found by
/// a name that is none.
#[test]
fn rows_that_are_no_tree_are_damage() {
    let mut builder = IndexBuilder::new();
    for path in ["a", "a/b", "a/b/n", "c", "d"] {
        let entry = entry(path.as_bytes(), Kind::Directory);
        builder.push(entry).unwrap();
    }
    builder.push(entry(b"e", Kind::File)).unwrap();
    let mut link = entry(b"f", Kind::File);
    link.hardlink = Some(b"e".to_vec());
    builder.push(link).unwrap();
    let sound = builder.finish().unwrap();
    let heap = sound.len() - 7;
    assert_eq!(&sound[heap..], b"abncdef", "rows 1 to 7 have a name each");
    // Row or place in the heap, value there, row that is refused, what the reader says.
    let below = "a row is not below its directory";
    let table = [
        ("a parent behind the row", place(2, PARENT), 3, 2, below),
        ("a parent that is the row", place(2, PARENT), 2, 2, below),
        ("a parent that ends before", place(4, PARENT), 1, 4, below),
        ("a parent that is a file", place(7, PARENT), 6, 7, below),
        ("a directory without an end", place(4, END), 4, 4, below),
        ("an end behind the parent's", place(2, END), 5, 2, below),
        ("a root in a directory", place(0, PARENT), 1, 0, below),
        ("a root that ends early", place(0, END), 3, 0, below),
        (
            "not the innermost directory",
            place(3, PARENT),
            1,
            3,
            "rows are not sorted",
        ),
        (
            "names that descend",
            heap + 3,
            b'a',
            4,
            "rows are not sorted",
        ),
        (
            "a name that is there twice",
            place(5, NAME),
            3,
            5,
            "rows are not sorted",
        ),
        ("a slash in a name", heap + 3, b'/', 4, "a row has no name"),
        ("a zero in a name", heap + 3, 0, 4, "a row has no name"),
        ("a step upwards", heap + 3, b'.', 4, "a row has no name"),
        (
            "a name outside",
            place(4, NAME),
            200,
            4,
            "a row points outside it",
        ),
        (
            "a link forwards",
            place(7, END),
            7,
            7,
            "a hard link is not to a file before it",
        ),
        (
            "a link to a directory",
            place(7, END),
            5,
            7,
            "a hard link is not to a file before it",
        ),
    ];
    for (what, at, value, row, reason) in table {
        let mut bytes = sound.clone();
        bytes[at] = value;
        let index = TreeIndex::new(bytes).unwrap();
        let read = |row: Result<EntryRef<'_>, IndexError>| row?.to_entry().map(drop);
        let rows: Vec<_> = index.iter().map(read).collect();
        assert_eq!(rows[row], Err(IndexError::Corrupt(reason)), "{what}");
        for name in [&b"/"[..], b".", b"..", b"\0", b"c/.."] {
            assert!(!matches!(index.get(name), Ok(Some(_))), "{what}");
        }
    }
}

#[test]
fn a_path_too_deep_is_damage() {
    let depth = 2049_u32;
    let mut bytes = b"fl-tree\0".to_vec();
    for number in [2, 90, 0, depth + 1, 1, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(64, 0);
    for number in 0..=depth {
        let mut row = vec![0; 90];
        row[4] = u8::from(number > 0);
        row[6] = 2;
        row[PARENT..END].copy_from_slice(&number.saturating_sub(1).to_le_bytes());
        row[END..END + 4].copy_from_slice(&(depth + 1).to_le_bytes());
        bytes.extend(row);
    }
    bytes.push(b'a');
    let index = TreeIndex::new(bytes).unwrap();
    let path = index.row(depth - 1).unwrap().path().unwrap();
    assert_eq!(path.len(), 2 * 2048 - 1);
    assert!(index.get(&path).unwrap().is_some());
    assert!(index.row(depth).unwrap().path().is_err());
}

fn arbitrary_path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a-", "c"]), 1..5)
        .prop_map(|parts| parts.join("/").into_bytes())
}

proptest! {
    #[test]
    fn rows_are_what_a_map_would_hold(all in prop::collection::vec((arbitrary_path(), any::<bool>()), 0..40)) {
        let mut model: BTreeMap<Vec<Vec<u8>>, bool> = BTreeMap::new();
        let mut builder = IndexBuilder::new();
        for (path, directory) in all {
            let parts: Vec<Vec<u8>> = path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
            let kind = if directory { Kind::Directory } else { Kind::File };
            let blocked = (1..parts.len()).any(|n| model.get(&parts[..n]) == Some(&false));
            let result = builder.push(entry(&path, kind));
            prop_assert_eq!(result.is_err(), blocked);
            if blocked { continue; }
            if !directory {
                model.retain(|known, _| !(known.len() > parts.len() && known.starts_with(&parts)));
            }
            for n in 1..parts.len() {
                model.insert(parts[..n].to_vec(), true);
            }
            model.insert(parts, directory);
        }
        let index = index(builder);
        let expected: Vec<Vec<u8>> =
            std::iter::once(Vec::new()).chain(model.keys().map(|parts| parts.join(&b'/'))).collect();
        prop_assert_eq!(paths(&index), expected.clone());
        for path in &expected {
            prop_assert_eq!(index.get(path).unwrap().unwrap().path().unwrap(), &path[..]);
        }
        prop_assert!(index.get(b"a/missing").unwrap().is_none());
    }

    #[test]
    fn hostile_bytes_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut builder = IndexBuilder::new();
        let mut file = entry(b"a/b", Kind::File);
        file.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
        builder.push(file).unwrap();
        let mut link = entry(b"c", Kind::File);
        link.hardlink = Some(b"a/b".to_vec());
        builder.push(link).unwrap();
        let mut bytes = builder.finish().unwrap();
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let cut = cut.index(bytes.len() + 1);
        for bytes in [bytes[..cut].to_vec(), bytes] {
            let Ok(index) = TreeIndex::new(bytes) else { continue };
            for row in index.iter().flatten() {
                let _ = row.to_entry();
                let _ = row.children().count();
                let _ = row.path().map(|path| index.get(&path).map(drop));
            }
        }
    }
}
