//! zstd:chunked blobs: valid, the same on every run, and what pullers need.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::Cursor;

use fastlayer_store::{
    BlobDigest, Codec, DiffId, Error, ExportOptions, ExportedBlob, IngestOptions, Store,
};
use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header};
use serde_json::Value;
use support::{TestStore, member, pseudo_random};

fn odd_entry(kind: EntryKind, path: &str, link: &str) -> Vec<u8> {
    let mut entry = Entry::new(path, kind);
    entry.mode = 0o4751;
    (entry.uid, entry.gid) = (7, 8);
    entry.link = link.into();
    entry.mtime.seconds = 86_400;
    if kind == EntryKind::CharDevice {
        entry.device = (1, 3);
    }
    let mut bytes = Vec::new();
    encode_header(&entry, &mut bytes).unwrap();
    bytes
}

/// Files of all sizes, one of several units, one with holes, and all other kinds.
fn sample() -> Vec<u8> {
    let mut tar = odd_entry(EntryKind::Directory, "d/", "");
    let mut entry = Entry::new("d/attributes", EntryKind::File);
    entry.xattrs.insert(b"user.x".into(), b"\0\xff".into());
    encode_header(&entry, &mut tar).unwrap();
    for number in 0..600 {
        let text = format!("line {number}\n").repeat(number % 300);
        member(&mut tar, &format!("d/text-{number}"), text.as_bytes());
    }
    member(&mut tar, "large", &pseudo_random(9_000_001, 3));
    let holes = [pseudo_random(5000, 1), vec![0; 70_000], vec![1; 3]].concat();
    member(&mut tar, "holes", &holes);
    member(&mut tar, "medium", &b"abcdefg\n".repeat(100_000));
    for (kind, name, link) in [
        (EntryKind::Symlink, "link", "../else <&>"),
        (EntryKind::Hardlink, "twin", "medium"),
        (EntryKind::CharDevice, "null", ""),
        (EntryKind::Fifo, "fifo", ""),
    ] {
        tar.extend_from_slice(&odd_entry(kind, name, link));
    }
    tar.extend_from_slice(&TRAILER);
    tar.resize(tar.len() + 8192, 0);
    tar
}

fn ingested(store: &Store, tar: &[u8]) -> DiffId {
    store
        .ingest(Cursor::new(tar), IngestOptions::default(), &mut |_| {})
        .unwrap()
        .diff_id
}

fn export(store: &Store, layer: &DiffId, options: &ExportOptions) -> (Vec<u8>, ExportedBlob) {
    let mut blob = Vec::new();
    let exported = store.export(layer, options, &mut blob, &mut |_| {});
    let exported = exported.unwrap();
    assert_eq!(exported.digest, BlobDigest::of(&blob));
    assert_eq!(exported.size, blob.len() as u64);
    (blob, exported)
}

fn options() -> ExportOptions {
    ExportOptions::new(Codec::ZstdChunked)
}

/// The parts that the annotations tell of: the table, and the tar-split rows.
fn contents(blob: &[u8], exported: &ExportedBlob) -> (Value, Vec<Value>) {
    let annotation = |name: &str| {
        let key = format!("io.github.containers.zstd-chunked.{name}");
        exported.annotations[&key].clone()
    };
    let part = |position: &str| -> (Vec<u8>, Vec<u8>, Vec<usize>) {
        let numbers: Vec<usize> = position.split(':').map(|n| n.parse().unwrap()).collect();
        let stored = blob[numbers[0]..numbers[0] + numbers[1]].to_vec();
        let header = &blob[numbers[0] - 8..numbers[0]];
        assert_eq!(header[..4], [0x50, 0x2a, 0x4d, 0x18], "a skippable frame");
        assert_eq!(header[4..], u32::to_le_bytes(numbers[1] as u32));
        let plain = zstd::decode_all(stored.as_slice()).unwrap();
        assert_eq!(plain.len(), numbers[2]);
        (stored, plain, numbers)
    };
    let (stored, table, place) = part(&annotation("manifest-position"));
    assert_eq!(
        annotation("manifest-checksum"),
        BlobDigest::of(&stored).to_string()
    );
    assert_eq!(place[3], 1);
    let (stored, rows, split_place) = part(&annotation("tarsplit-position"));
    let table: Value = serde_json::from_slice(&table).unwrap();
    assert_eq!(table["tarSplitDigest"], BlobDigest::of(&stored).to_string());
    let footer: Vec<usize> = [&place[..], &split_place[..]].concat();
    let footer: Vec<u8> = footer
        .iter()
        .flat_map(|n| (*n as u64).to_le_bytes())
        .collect();
    assert_eq!(
        blob[blob.len() - 64..],
        [&footer, &b"GNUlInUx"[..]].concat()
    );
    let rows = serde_json::Deserializer::from_slice(&rows).into_iter();
    (table, rows.map(Result::unwrap).collect())
}

fn base64(text: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.chars().filter_map(|c| digits.find(c));
    let bits: Vec<u8> = digits
        .flat_map(|digit| (0..6).rev().map(move |bit| (digit >> bit & 1) as u8))
        .collect();
    let whole = bits.chunks_exact(8);
    whole
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit))
        .collect()
}

#[test]
fn the_table_leads_to_every_content_and_tar_split_to_the_tar() {
    let store = TestStore::new();
    let tar = sample();
    let layer = ingested(&store, &tar);
    let (blob, exported) = export(&store, &layer, &options());
    assert_eq!(zstd::decode_all(blob.as_slice()).unwrap(), tar);
    let (table, rows) = contents(&blob, &exported);
    let entries = table["entries"].as_array().unwrap();
    let number = |entry: &Value, key: &str| entry[key].as_u64().unwrap_or(0) as usize;
    let mut files = std::collections::BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry["type"] != "reg" || entry["size"].is_null() {
            continue;
        }
        let (start, end) = (number(entry, "offset"), number(entry, "endOffset"));
        let plain = zstd::decode_all(&blob[start..end]).unwrap();
        assert_eq!(plain.len(), number(entry, "size"));
        assert_eq!(entry["digest"], BlobDigest::of(&plain).to_string());
        let chunks: Vec<&Value> = std::iter::once(entry)
            .chain(
                entries[index + 1..]
                    .iter()
                    .take_while(|next| next["type"] == "chunk"),
            )
            .collect();
        let mut position = 0;
        for (turn, chunk) in chunks.iter().enumerate().filter(|_| chunks.len() > 1) {
            let next = chunks
                .get(turn + 1)
                .map_or(end, |next| number(next, "offset"));
            let bytes = zstd::decode_all(&blob[number(chunk, "offset")..next]).unwrap();
            assert_eq!(number(chunk, "chunkOffset"), position);
            assert_eq!(number(chunk, "chunkSize"), bytes.len());
            assert_eq!(chunk["chunkDigest"], BlobDigest::of(&bytes).to_string());
            let zeros = bytes.iter().all(|byte| *byte == 0);
            assert_eq!(chunk["chunkType"] == "zeros", zeros);
            assert_eq!(plain[position..position + bytes.len()], bytes);
            position += bytes.len();
        }
        assert!(position == 0 || position == plain.len());
        files.insert(entry["name"].as_str().unwrap().to_owned(), plain);
    }
    let mut made = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        assert_eq!(number(row, "position"), position);
        match row["type"].as_u64() {
            Some(2) => made.extend(base64(row["payload"].as_str().unwrap())),
            _ if row["size"].is_null() => assert!(row["payload"].is_null()),
            _ => {
                assert_eq!(base64(row["payload"].as_str().unwrap()).len(), 8);
                made.extend_from_slice(&files[row["name"].as_str().unwrap()]);
            }
        }
    }
    assert!(made == tar, "the tar comes out of the two again");
}

#[test]
fn rows_say_what_headers_say() {
    let store = TestStore::new();
    let layer = ingested(&store, &sample());
    let (blob, exported) = export(&store, &layer, &options());
    let (table, _) = contents(&blob, &exported);
    let find = |name: &str| {
        let entries = table["entries"].as_array().unwrap();
        let found = entries.iter().find(|entry| entry["name"] == name).unwrap();
        found.to_string()
    };
    let expected = [
        (
            "d/",
            r#"{"gid":8,"mode":2537,"modtime":"1970-01-02T00:00:00Z","name":"d/","type":"dir","uid":7}"#,
        ),
        (
            "d/attributes",
            r#"{"modtime":"1970-01-01T00:00:00Z","name":"d/attributes","type":"reg","xattrs":{"user.x":"AP8="}}"#,
        ),
        (
            "link",
            r#"{"gid":8,"linkName":"../else <&>","mode":2537,"modtime":"1970-01-02T00:00:00Z","name":"link","type":"symlink","uid":7}"#,
        ),
        (
            "null",
            r#"{"devMajor":1,"devMinor":3,"gid":8,"mode":2537,"modtime":"1970-01-02T00:00:00Z","name":"null","type":"char","uid":7}"#,
        ),
    ];
    for (name, row) in expected {
        assert_eq!(find(name), row);
    }
    let types: Vec<Value> = ["twin", "fifo"]
        .map(|name| serde_json::from_str::<Value>(&find(name)).unwrap()["type"].clone())
        .into();
    assert_eq!(types, ["hardlink", "fifo"]);
}

#[test]
fn the_bytes_depend_on_nothing_but_the_tar() {
    let tar = sample();
    let store = TestStore::new();
    let layer = ingested(&store, &tar);
    let off = ExportOptions {
        reuse: false,
        ..options()
    };
    let expected = export(&store, &layer, &off);
    for threads in [1, 2, 5] {
        let store = TestStore::new();
        let layer = ingested(&store, &tar);
        let first = ExportOptions {
            threads,
            ..options()
        };
        assert!(export(&store, &layer, &first) == expected);
        let known = store.exported(&layer, Codec::ZstdChunked, None).unwrap();
        assert_eq!(known.as_ref(), Some(&expected.1));
        assert!(export(&store, &layer, &first) == expected);
        // Half of the frames are lost, and what the blob was.
        for (number, path) in support::files_below(&store.path().join("cache"))
            .iter()
            .enumerate()
        {
            if number % 2 == 0 || path.to_string_lossy().contains("exports") {
                std::fs::remove_file(path).unwrap();
            }
        }
        assert!(export(&store, &layer, &first) == expected);
    }
    // As in `golden_digests` of the other codecs.
    let golden = "sha256:ccec78fd75fa712e078b482dcaf050fd41ce5f2aaa92891063cb17d12bc48a6c";
    assert_eq!(expected.1.digest.to_string(), golden);
}

#[test]
fn what_a_puller_would_refuse_is_refused() {
    let with = |bytes: &[u8]| [bytes, &TRAILER].concat();
    let file = |path: &[u8]| {
        let mut bytes = Vec::new();
        encode_header(&Entry::new(path, EntryKind::File), &mut bytes).unwrap();
        bytes
    };
    let mut global = file(b"x");
    global[156] = b'g';
    global[148..156].fill(b' ');
    let sum: u32 = global.iter().map(|byte| u32::from(*byte)).sum();
    global[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let cases = [
        (with(&[file(b"a"), file(b"./a")].concat()), "twice"),
        (with(&file(b"\xff")), "not UTF-8"),
        (with(&[global, file(b"y")].concat()), "stands for no file"),
        (
            [with(&file(b"a")), vec![7; 512]].concat(),
            "follows the end",
        ),
        (with(&[file(b"a"), file(b"a/b")].concat()), "raw"),
    ];
    for (tar, reason) in cases {
        let store = TestStore::new();
        let layer = ingested(&store, &tar);
        let result = store.export(&layer, &options(), &mut Vec::new(), &mut |_| {});
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NoContents { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn layers_without_files_are_valid_blobs() {
    for tar in [Vec::new(), TRAILER.to_vec(), vec![0; 512]] {
        let store = TestStore::new();
        let layer = ingested(&store, &tar);
        let (blob, exported) = export(&store, &layer, &options());
        assert_eq!(zstd::decode_all(blob.as_slice()).unwrap(), tar);
        let (table, _) = contents(&blob, &exported);
        assert_eq!(table["entries"], Value::Array(Vec::new()));
    }
}
