//! Blobs: valid, the same on every run, and the same as ever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::{Cursor, Read};
use std::process::{Command, Stdio};

use fastlayer_store::decompress::Compression;
use fastlayer_store::{BlobDigest, Codec, DiffId, Error, ExportOptions, IngestOptions, Store};
use fastlayer_tar::TRAILER;
use support::{TestStore, member, pseudo_random};

fn sample() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..2000 {
        let text = format!("line {number}\n").repeat(number % 200);
        member(&mut tar, &format!("text/{number}"), text.as_bytes());
    }
    member(&mut tar, "large", &pseudo_random(9_000_000, 3));
    member(&mut tar, "medium", &b"abcdefg\n".repeat(100_000));
    tar.extend_from_slice(&TRAILER);
    tar
}

fn export(store: &Store, diff_id: &DiffId, options: &ExportOptions) -> Vec<u8> {
    let mut blob = Vec::new();
    let mut done = 0;
    let exported = store
        .export(diff_id, options, &mut blob, &mut |bytes| done = bytes)
        .unwrap();
    assert_eq!(exported.digest, BlobDigest::of(&blob));
    assert_eq!(exported.size, blob.len() as u64);
    assert_eq!(done, store.layer(diff_id).unwrap().unwrap().size);
    blob
}

#[test]
fn every_codec_gives_the_tar_back_by_other_tools() {
    let store = TestStore::new();
    let tar = sample();
    let layer = store
        .ingest(Cursor::new(&tar), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let plain = export(&store, &layer.diff_id, &ExportOptions::new(Codec::None));
    assert_eq!(plain, tar);
    let gzip = export(&store, &layer.diff_id, &ExportOptions::new(Codec::Gzip));
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(gzip.as_slice())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, tar);
    assert_eq!(pipe("gzip", &gzip).unwrap_or(unpacked), tar);
    let zstd = export(&store, &layer.diff_id, &ExportOptions::new(Codec::Zstd));
    let unpacked = zstd::decode_all(zstd.as_slice()).unwrap();
    assert_eq!(unpacked, tar);
    for blob in [plain, gzip, zstd] {
        let other = TestStore::new();
        let options = IngestOptions {
            blob_digest: Some(BlobDigest::of(&blob)),
            diff_id: Some(layer.diff_id),
            ..IngestOptions::default()
        };
        let again = other
            .ingest(Cursor::new(&blob), options, &mut |_| {})
            .unwrap();
        assert_eq!(again.diff_id, layer.diff_id);
    }
}

/// What `PROGRAM -dc` makes of `input`; `None` where it is not installed.
fn pipe(program: &str, input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_history() {
    let tar = sample();
    for codec in [Codec::Gzip, Codec::Zstd] {
        let mut blobs = Vec::new();
        for threads in [1, 2, 7] {
            let store = TestStore::new();
            let layer = store
                .ingest(
                    support::Stepped {
                        bytes: &tar,
                        step: 1000 * threads + 1,
                    },
                    IngestOptions::default(),
                    &mut |_| {},
                )
                .unwrap();
            let options = ExportOptions {
                threads,
                ..ExportOptions::new(codec)
            };
            blobs.push(export(&store, &layer.diff_id, &options));
        }
        assert!(blobs.iter().all(|blob| *blob == blobs[0]));
    }
}

/// Paths below the cache of a store: what exports have left.
fn cached(store: &Store, kind: &str) -> Vec<std::path::PathBuf> {
    support::files_below(&store.path().join("cache").join(kind))
}

fn ingested(store: &Store, tar: &[u8]) -> DiffId {
    store
        .ingest(Cursor::new(tar), IngestOptions::default(), &mut |_| {})
        .unwrap()
        .diff_id
}

#[test]
fn the_bytes_do_not_depend_on_what_is_cached() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let store = TestStore::new();
        let layer = ingested(&store, &sample());
        let off = ExportOptions {
            reuse: false,
            ..ExportOptions::new(codec)
        };
        let options = ExportOptions::new(codec);
        let expected = export(&store, &layer, &off);
        assert!(cached(&store, "frames").is_empty());
        assert_eq!(store.exported(&layer, codec, None).unwrap(), None);
        assert_eq!(export(&store, &layer, &options), expected);
        let frames = cached(&store, "frames");
        assert!(frames.len() > 3);
        assert_eq!(export(&store, &layer, &options), expected);
        for (number, path) in frames.iter().enumerate() {
            match number % 4 {
                0 => std::fs::remove_file(path).unwrap(),
                1 => damage(path, |bytes| bytes[0] ^= 1),
                2 => damage(path, |bytes| bytes.truncate(20)),
                _ => {}
            }
        }
        assert_eq!(export(&store, &layer, &options), expected);
        assert_eq!(cached(&store, "frames"), frames);
        let remembered = store.exported(&layer, codec, None).unwrap().unwrap();
        assert_eq!(remembered.digest, BlobDigest::of(&expected));
        assert_eq!(remembered.size, expected.len() as u64);
        assert_eq!(store.exported(&layer, codec, Some(1)).unwrap(), None);
    }
}

/// Notes what is read of it, and nothing else.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_known_blob_needs_the_layer_for_nothing() {
    let store = TestStore::new();
    let layer = ingested(&store, &sample());
    let options = ExportOptions::new(Codec::Zstd);
    let expected = export(&store, &layer, &options);
    for kind in ["segments", "objects"] {
        std::fs::remove_dir_all(store.path().join(kind)).unwrap();
    }
    for path in cached(&store, "../unsynced") {
        if !path.to_string_lossy().contains("recipes") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(export(&store, &layer, &options), expected);
    let off = ExportOptions {
        reuse: false,
        ..options
    };
    let mut output = Counted(0);
    assert!(
        store
            .export(&layer, &off, &mut output, &mut |_| {})
            .is_err()
    );
}

#[test]
fn no_wrong_byte_leaves_a_known_blob() {
    let store = TestStore::new();
    let layer = ingested(&store, &sample());
    let options = ExportOptions::new(Codec::Zstd);
    let expected = export(&store, &layer, &options);
    let frames = cached(&store, "frames");
    // A whole frame in the place of another, a damaged one, and one that is lost.
    let (first, second) = (std::fs::read(&frames[0]).unwrap(), frames[1].clone());
    damage(&second, |bytes| *bytes = first);
    assert_eq!(export(&store, &layer, &options), expected);
    damage(&frames[2], |bytes| bytes[0] ^= 1);
    std::fs::remove_file(&frames[3]).unwrap();
    assert_eq!(export(&store, &layer, &options), expected);
    // What is known of the blob is wrong, though its checksum is not.
    let record = cached(&store, "exports").remove(0);
    damage(&record, |bytes| {
        let end = bytes.len() - 32;
        bytes[16] ^= 1;
        let sum = fastlayer_store::digest::checksum(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum);
    });
    std::fs::remove_file(&frames[4]).unwrap();
    let result = store.export(&layer, &options, &mut Counted(0), &mut |_| {});
    assert!(matches!(result, Err(Error::Corrupt { .. })));
    assert_eq!(export(&store, &layer, &options), expected);
}

fn damage(path: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A layer of many files, of which `changed` is another than usual.
fn version(changed: usize) -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..1500 {
        let seed = if number == changed { 9999 } else { number };
        let content = pseudo_random(20_000, seed as u64);
        member(&mut tar, &format!("file/{number}"), &content);
    }
    tar.extend_from_slice(&TRAILER);
    tar
}

#[test]
fn a_next_version_shares_all_frames_but_a_few() {
    let store = TestStore::new();
    let options = ExportOptions::new(Codec::Zstd);
    let first = ingested(&store, &version(usize::MAX));
    export(&store, &first, &options);
    let before = cached(&store, "frames").len();
    let second = ingested(&store, &version(700));
    let blob = export(&store, &second, &options);
    let added = cached(&store, "frames").len() - before;
    assert!(
        before > 25 && (1..=3).contains(&added),
        "{added} of {before}"
    );
    let other = TestStore::new();
    let alone = ingested(&other, &version(700));
    assert_eq!(export(&other, &alone, &options), blob);
}

#[test]
fn frames_go_with_their_layers_and_by_the_budget() {
    let store = TestStore::new();
    let options = ExportOptions::new(Codec::Zstd);
    let first = ingested(&store, &version(usize::MAX));
    let second = ingested(&store, &version(700));
    export(&store, &first, &options);
    let of_first = cached(&store, "frames");
    std::thread::sleep(std::time::Duration::from_millis(20));
    export(&store, &second, &options);
    let all = cached(&store, "frames").len();
    assert!(all > of_first.len());

    assert_eq!(store.trim_exports(u64::MAX).unwrap(), 0);
    let size: u64 = cached(&store, "frames")
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(store.trim_exports(size - size / 50).unwrap() > 0);
    // What the blobs were is known all the same.
    assert_eq!(cached(&store, "exports").len(), 2);
    assert!(cached(&store, "frames").len() < all);

    export(&store, &first, &options);
    let roots = || {
        Ok(fastlayer_store::Keep {
            layers: [first].into(),
            ..fastlayer_store::Keep::default()
        })
    };
    store
        .collect(roots, &std::sync::atomic::AtomicBool::new(false))
        .unwrap();
    assert_eq!(cached(&store, "frames"), of_first);
    assert_eq!(cached(&store, "exports").len(), 1);
    assert!(store.trim_exports(0).unwrap() > 0);
    assert!(cached(&store, "frames").is_empty());
}

/// A changed digest is a changed format: every blob in every registry would be uploaded anew.
#[test]
fn f4_golden_digests() {
    let store = TestStore::new();
    let layer = store
        .ingest(Cursor::new(sample()), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let digests = [Codec::None, Codec::Gzip, Codec::Zstd].map(|codec| {
        let blob = export(&store, &layer.diff_id, &ExportOptions::new(codec));
        BlobDigest::of(&blob).to_string()
    });
    assert_eq!(
        digests,
        [
            "sha256:ef1f2a21f1085b85d72d1f5e5d24f3e4cdceab22877170fb9e6d801fe182f09c",
            "sha256:deb0798a39dabe808c2eeecf18d0a19af6cafbd5a430f57c4769a16286747f75",
            "sha256:28ef03d17cbcc867dd61d3eef6526e3e7568286c7714f84dd427ac17cc984557",
        ]
    );
}

#[test]
fn a_layer_without_bytes_is_a_valid_blob() {
    let store = TestStore::new();
    let layer = store
        .ingest(Cursor::new(b""), IngestOptions::default(), &mut |_| {})
        .unwrap();
    for (codec, compression) in [
        (Codec::Gzip, Compression::Gzip),
        (Codec::Zstd, Compression::Zstd),
    ] {
        let blob = export(&store, &layer.diff_id, &ExportOptions::new(codec));
        assert_eq!(Compression::detect(&blob), compression);
        let options = IngestOptions {
            diff_id: Some(layer.diff_id),
            ..IngestOptions::default()
        };
        store
            .ingest(Cursor::new(&blob), options, &mut |_| {})
            .unwrap();
    }
}

#[test]
fn odd_requests_are_refused() {
    let store = TestStore::new();
    assert!(matches!(Codec::parse("lzma"), Err(Error::Format { .. })));
    let missing = DiffId::from_bytes([1; 32]);
    let options = ExportOptions::new(Codec::Gzip);
    let result = store.export(&missing, &options, &mut Vec::new(), &mut |_| {});
    assert!(matches!(result, Err(Error::NotFound { .. })));
    let options = ExportOptions {
        level: Some(13),
        ..options
    };
    let result = store.export(&missing, &options, &mut Vec::new(), &mut |_| {});
    assert!(matches!(result, Err(Error::Format { .. })));
}

#[test]
fn damage_is_noticed_while_exporting() {
    let store = TestStore::new();
    let layer = store
        .ingest(Cursor::new(sample()), IngestOptions::default(), &mut |_| {})
        .unwrap();
    let medium = fastlayer_store::ContentId::of(&b"abcdefg\n".repeat(100_000)).hex();
    let path = store
        .path()
        .join("objects")
        .join(&medium[..2])
        .join(&medium[2..]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[77] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let options = ExportOptions::new(codec);
        let result = store.export(&layer.diff_id, &options, &mut Vec::new(), &mut |_| {});
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{codec:?}");
    }
}
