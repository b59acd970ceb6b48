//! The formats as `docs/formats/` describes them, read by a reader of their own.
//!
//! Golden values: a change here is a change of the format, and needs a new version.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use fastlayer_store::{ContentId, DiffId, IngestOptions};
use fastlayer_tar::{Entry, EntryKind, TRAILER, Timestamp, encode_header};
use support::{TestStore, member, pseudo_random};

fn sample() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..4000_usize {
        let size = (number * 977) % 9000;
        member(
            &mut tar,
            &format!("tree/{number}"),
            &pseudo_random(size, number as u64),
        );
    }
    member(&mut tar, "large", &pseudo_random(10_000_000, 1));
    member(&mut tar, "medium", &pseudo_random(131_072, 2));
    tar.extend_from_slice(&TRAILER);
    tar.resize(tar.len() + 50_000, 0);
    tar
}

/// A recipe, taken apart as recipe.md says.
struct Recipe {
    objects: Vec<String>,
    segments: Vec<String>,
    /// Kind, index, offset, length.
    rows: Vec<(u32, usize, usize, usize)>,
    heap: Vec<u8>,
}

fn number(bytes: &[u8], offset: usize, width: usize) -> usize {
    let mut number = 0;
    for byte in bytes[offset..offset + width].iter().rev() {
        number = number << 8 | usize::from(*byte);
    }
    number
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_recipe(path: &Path) -> Recipe {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"FLRECIPE");
    assert_eq!(number(&bytes, 8, 4), 1);
    let counts: Vec<usize> = (0..4)
        .map(|field| number(&bytes, 80 + 4 * field, 4))
        .collect();
    let mut rest = &bytes[112 + counts[3]..];
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at(count);
        rest = after;
        taken
    };
    let objects = take(32 * counts[0]).chunks(32).map(hex).collect();
    let segments = take(32 * counts[1]).chunks(32).map(hex).collect();
    let rows = take(24 * counts[2])
        .chunks(24)
        .map(|row| {
            let kind = u32::try_from(number(row, 0, 4)).unwrap();
            (
                kind,
                number(row, 4, 4),
                number(row, 8, 8),
                number(row, 16, 8),
            )
        })
        .collect();
    let heap = zstd::decode_all(take(number(&bytes, 96, 8))).unwrap();
    assert_eq!(heap.len(), number(&bytes, 104, 8));
    let sum = take(32).to_vec();
    let mut hasher = blake3::Hasher::new_derive_key("fastlayer checksum v1");
    hasher.update(&bytes[..bytes.len() - 32]);
    assert_eq!(hasher.finalize().as_bytes().as_slice(), sum);
    Recipe {
        objects,
        segments,
        rows,
        heap,
    }
}

fn file_of(root: &Path, place: &str, id: &str) -> PathBuf {
    root.join(place).join(&id[..2]).join(&id[2..])
}

/// A stored segment, expanded as segment.md says.
fn expand(root: &Path, id: &str) -> Vec<u8> {
    let bytes = fs::read(file_of(root, "segments", id)).unwrap();
    assert_eq!(&bytes[..8], b"FLSEGM01");
    let objects = number(&bytes, 8, 4);
    let (ids, frame) = bytes[32..].split_at(32 * objects);
    let operations = zstd::decode_all(frame).unwrap();
    assert_eq!(operations.len(), number(&bytes, 24, 8));
    let mut rest = operations.as_slice();
    let mut output = Vec::new();
    while !rest.is_empty() {
        let head = take_number(&mut rest);
        let length = head >> 2;
        match head & 3 {
            0 => {
                output.extend_from_slice(&rest[..length]);
                rest = &rest[length..];
            }
            1 => {
                let index = take_number(&mut rest);
                let object = hex(&ids[32 * index..32 * (index + 1)]);
                let content = fs::read(file_of(root, "objects", &object)).unwrap();
                assert_eq!(content.len(), length);
                output.extend_from_slice(&content);
            }
            2 => output.resize(output.len() + length, 0),
            kind => panic!("operation {kind}"),
        }
    }
    assert_eq!(output.len(), number(&bytes, 16, 8));
    assert_eq!(ContentId::of(&output).hex(), id);
    output
}

fn take_number(rest: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = rest[0];
        *rest = &rest[1..];
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

#[test]
fn a_layer_can_be_read_by_its_documentation() {
    let store = TestStore::new();
    let tar = sample();
    let info = store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    assert_eq!(info.diff_id, DiffId::of(&tar));
    let root = store.path();
    let recipe = read_recipe(&root.join("recipes").join(info.diff_id.hex()));
    let mut output = Vec::new();
    let mut kinds = [0; 3];
    for (kind, index, offset, length) in recipe.rows {
        kinds[kind as usize] += 1;
        let before = output.len();
        match kind {
            0 => output.extend_from_slice(&expand(root, &recipe.segments[index])),
            1 => {
                let object = fs::read(file_of(root, "objects", &recipe.objects[index])).unwrap();
                output.extend_from_slice(&object[offset..offset + length]);
            }
            _ => output.extend_from_slice(&recipe.heap[offset..offset + length]),
        }
        assert_eq!(output.len() - before, length);
    }
    assert!(output == tar);
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
}

/// A member of each kind, and names that need the order of components.
fn kinds_of_members() -> Vec<u8> {
    let mut tar = Vec::new();
    let mut other = |path: &str, kind, change: &dyn Fn(&mut Entry)| {
        let mut entry = Entry::new(path, kind);
        entry.mode = 0o755;
        entry.mtime = Timestamp::from_seconds(-3);
        change(&mut entry);
        encode_header(&entry, &mut tar).unwrap();
    };
    other("usr/", EntryKind::Directory, &|entry| entry.uid = 5);
    other("usr/link", EntryKind::Symlink, &|entry| {
        entry.link = b"../etc".to_vec();
    });
    other("dev/null", EntryKind::CharDevice, &|entry| {
        entry.device = (1, 3);
    });
    other("dev/pipe", EntryKind::Fifo, &|entry| {
        let value = (b"user.name".to_vec(), b"value".to_vec());
        entry.xattrs.extend([value]);
    });
    other("usr/lower", EntryKind::Hardlink, &|entry| {
        entry.link = b"lower/file".to_vec();
    });
    other("usr/.wh.gone", EntryKind::File, &|_| ());
    member(&mut tar, "usr-local/file", b"content");
    let mut link = Entry::new("usr/second", EntryKind::Hardlink);
    link.link = b"usr-local/file".to_vec();
    encode_header(&link, &mut tar).unwrap();
    tar.extend_from_slice(&TRAILER);
    tar
}

/// The rows of a tree index, read as tree-index.md says: path, kind and what else there is.
fn read_tree(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"fl-tree\0");
    assert_eq!((number(&bytes, 8, 4), number(&bytes, 12, 4)), (2, 90));
    let count = number(&bytes, 20, 4);
    let (rows, heap) = bytes[64..].split_at(90 * count);
    assert_eq!(heap.len(), number(&bytes, 24, 8));
    let text = |offset, length| String::from_utf8_lossy(&heap[offset..offset + length]);
    let mut paths: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for row in rows.chunks(90) {
        let field = |offset, width| number(row, offset, width);
        let name = text(field(0, 4), field(4, 2));
        let parent = paths.get(field(8, 4)).map_or("", String::as_str);
        paths.push(format!("{parent}/{name}").replace("//", "/"));
        let path = paths.last().unwrap();
        let link = field(12, 4);
        let what = match (row[6], row[7]) {
            (1, flags) if link == 0xffff_ffff => {
                let at = (field(38, 8), field(46, 8));
                format!("file {flags} {at:?} {}", &hex(&row[58..])[..8])
            }
            (1, _) => format!("file of {}", paths[link]),
            (2, flags) => format!("directory {flags} to {link}, owner {}", field(18, 4)),
            (3, _) => format!("link to {}", text(field(58, 4), field(62, 4))),
            (4, _) => format!("device {} {}", field(58, 4), field(62, 4)),
            (6, _) => {
                let xattrs = field(54, 4);
                let length = number(heap, xattrs, 4);
                format!("pipe {:?}", text(xattrs + 4, length))
            }
            (7, _) => "whiteout".to_owned(),
            (8, _) => format!("lower {}", text(field(58, 4), field(62, 4))),
            other => panic!("{other:?}"),
        };
        let seconds = i64::from_le_bytes(row[26..34].try_into().unwrap());
        let mode = field(16, 2);
        lines.push(format!("{path} {mode:o} {seconds}.{} {what}", field(34, 4)));
    }
    lines
}

#[test]
fn a_tree_index_can_be_read_by_its_documentation() {
    let store = TestStore::new();
    let tar = kinds_of_members();
    let info = store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let path = store.path().join("trees").join(info.diff_id.hex());
    let content = &ContentId::of(b"content").hex()[..8];
    let at = tar
        .windows(7)
        .position(|window| window == b"content")
        .unwrap();
    let expected = [
        "/ 755 0.0 directory 2 to 11, owner 0".to_owned(),
        "/dev 755 0.0 directory 2 to 4, owner 0".to_owned(),
        "/dev/null 755 -3.0 device 1 3".to_owned(),
        "/dev/pipe 755 -3.0 pipe \"\\t\\0\\0\\0user.name\\u{5}\\0\\0\\0value\"".to_owned(),
        "/usr 755 -3.0 directory 0 to 9, owner 5".to_owned(),
        "/usr/gone 0 0.0 whiteout".to_owned(),
        "/usr/link 755 -3.0 link to ../etc".to_owned(),
        "/usr/lower 755 -3.0 lower lower/file".to_owned(),
        format!("/usr/second 644 0.0 file 8 (7, {at}) {content}"),
        "/usr-local 755 0.0 directory 2 to 11, owner 0".to_owned(),
        "/usr-local/file 644 0.0 file of /usr/second".to_owned(),
    ];
    assert_eq!(read_tree(&path), expected);
}

/// Borders decide which versions share what, and every byte of an exported blob.
#[test]
fn borders_are_where_they_always_were() {
    let store = TestStore::new();
    let info = store
        .ingest(sample().as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let recipe = read_recipe(&store.path().join("recipes").join(info.diff_id.hex()));
    let lengths: Vec<usize> = recipe.rows.iter().map(|row| row.3).collect();
    let mut hasher = blake3::Hasher::new();
    for id in &recipe.segments {
        hasher.update(id.as_bytes());
    }
    assert_eq!(lengths.len(), 153);
    assert_eq!(lengths[..4], [100_352, 291_328, 101_376, 141_312]);
    assert_eq!(
        lengths[147..],
        [4_194_304, 4_194_304, 1_611_392, 896, 131_072, 51_024]
    );
    assert_eq!(
        hasher.finalize().to_hex().as_str(),
        "d7256bc544142f020432b083caf0229ac1d96c620a3405d91be0c973daa111c2"
    );
}
