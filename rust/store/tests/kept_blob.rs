//! Compressed blobs that are kept as they came in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Cursor, Write};

use fastlayer_store::decompress::decompress;
use fastlayer_store::{BlobDigest, Error, IngestOptions, Store};
use fastlayer_tar::TRAILER;
use flate2::Compression;
use flate2::write::GzEncoder;
use support::{TestStore, member, pseudo_random};

fn tar() -> Vec<u8> {
    let mut tar = Vec::new();
    member(&mut tar, "file", &pseudo_random(100_000, 7));
    tar.extend_from_slice(&TRAILER);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn ingest(store: &Store, blob: &[u8], digest: BlobDigest, keep_blob: bool) -> Result<(), Error> {
    let options = IngestOptions {
        blob_digest: Some(digest),
        keep_blob,
        ..IngestOptions::default()
    };
    let info = store.ingest(Cursor::new(blob), options, &mut |_| {})?;
    assert_eq!(info.size, tar().len() as u64);
    Ok(())
}

#[test]
fn a_compressed_blob_comes_back_as_it_was() {
    let store = TestStore::new();
    let blob = gzip(&tar());
    let digest = BlobDigest::of(&blob);
    ingest(&store, &blob, digest, false).unwrap();
    assert!(!store.has_blob(&digest).unwrap());
    ingest(&store, &blob, digest, true).unwrap();
    ingest(&store, &blob, digest, true).unwrap();
    let mut back = Vec::new();
    assert_eq!(
        store.write_blob(&digest, &mut back).unwrap(),
        blob.len() as u64
    );
    assert_eq!(back, blob);
}

#[test]
fn a_plain_blob_is_not_kept() {
    let store = TestStore::new();
    let digest = BlobDigest::of(&tar());
    ingest(&store, &tar(), digest, true).unwrap();
    assert!(!store.has_blob(&digest).unwrap());
    let missing = store.write_blob(&digest, &mut Vec::new());
    assert!(matches!(missing, Err(Error::NotFound { .. })));
}

#[test]
fn a_blob_with_another_digest_leaves_nothing() {
    let store = TestStore::new();
    let blob = gzip(&tar());
    let wrong = BlobDigest::of(b"another");
    let result = ingest(&store, &blob, wrong, true);
    assert!(matches!(result, Err(Error::DigestMismatch { .. })));
    assert!(!store.has_blob(&wrong).unwrap());
    assert!(!store.has_blob(&BlobDigest::of(&blob)).unwrap());
}

#[test]
fn streams_become_plain() {
    let tar = tar();
    let mut members = gzip(&tar[..5000]);
    members.extend_from_slice(&gzip(&tar[5000..]));
    for stream in [tar.clone(), gzip(&tar), members] {
        let mut plain = Vec::new();
        let count = decompress(Cursor::new(stream), &mut plain).unwrap();
        assert_eq!(count, tar.len() as u64);
        assert_eq!(plain, tar);
    }
    let mut cut = gzip(&tar);
    cut.truncate(cut.len() / 2);
    let result = decompress(Cursor::new(cut), &mut Vec::new());
    assert!(matches!(result, Err(Error::Format { .. })));
}
