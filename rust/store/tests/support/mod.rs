//! What the store's tests share.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, Keep, Store};
use fastlayer_tar::{Entry, EntryKind, encode_header, padding};

/// A store in a directory that goes away with it.
pub struct TestStore {
    store: Store,
    _directory: tempfile::TempDir,
}

impl TestStore {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(&directory.path().join("store"), true).unwrap(),
            _directory: directory,
        }
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn pseudo_random(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Appends a regular file to a tar.
pub fn member(tar: &mut Vec<u8>, path: &str, content: &[u8]) {
    let mut entry = Entry::new(path, EntryKind::File);
    entry.mode = 0o644;
    entry.size = content.len() as u64;
    encode_header(&entry, tar).unwrap();
    tar.extend_from_slice(content);
    tar.resize(tar.len() + padding(entry.size), 0);
}

/// Keeps one layer.
pub fn only(diff_id: DiffId) -> Keep {
    Keep {
        layers: HashSet::from([diff_id]),
        ..Keep::default()
    }
}

/// The layers are those, whole to the last byte.
pub fn is_whole(store: &Store, layers: &[DiffId]) {
    assert_eq!(store.layers().unwrap(), layers);
    let stop = AtomicBool::new(false);
    assert_eq!(store.fsck(&stop, &mut |_| {}).unwrap(), []);
    for diff_id in layers {
        let mut tar = Vec::new();
        store.write_tar(diff_id, &mut tar, &stop).unwrap();
        assert_eq!(DiffId::of(&tar), *diff_id);
    }
}

/// The regular files below a directory, sorted.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    found
}

/// A source whose reads give at most `step` bytes.
pub struct Stepped<'a> {
    pub bytes: &'a [u8],
    pub step: usize,
}

impl Read for Stepped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.step.min(buffer.len()).min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}
