//! A store with one layer whose recipe and segments can be replaced by others.
//!
//! It has objects and segments of its own, which what is put in place can refer to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, Error, IngestOptions, LayerReader, Store};
use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header, padding};

use crate::scratch::Scratch;

/// Sizes of files whose contents are objects: of a segment, of a row, of two rows.
const SIZES: [usize; 3] = [5_000, 140_000, (4 << 20) + 9];
/// The DiffID of what is put in place.
const DIFF_ID: [u8; 32] = [0x5a; 32];

/// The store and what it has.
pub(crate) struct StoredLayer {
    pub(crate) store: Store,
    /// Ids and contents.
    pub(crate) objects: Vec<([u8; 32], Vec<u8>)>,
    pub(crate) segments: Vec<[u8; 32]>,
    _scratch: Scratch,
}

impl StoredLayer {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let store = scratch.store("store");
        let mut tar = Vec::new();
        for size in SIZES {
            let mut entry = Entry::new(format!("file-{size}"), EntryKind::File);
            entry.size = size as u64;
            encode_header(&entry, &mut tar).expect("a plain entry");
            let content = (0..size).map(|at| (at * at / 7).to_le_bytes()[0]);
            tar.extend(content.collect::<Vec<u8>>());
            tar.resize(tar.len() + padding(entry.size), 0);
        }
        tar.extend_from_slice(&TRAILER);
        store
            .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
            .expect("a layer");
        let objects = ids(&store.path().join("objects"));
        let objects = objects
            .into_iter()
            .map(|(id, path)| (id, fs::read(path).expect("an object")));
        let segments = ids(&store.path().join("segments")).into_iter();
        Self {
            objects: objects.collect(),
            segments: segments.map(|(id, _)| id).collect(),
            store,
            _scratch: scratch,
        }
    }

    pub(crate) fn diff_id() -> DiffId {
        DiffId::from_bytes(DIFF_ID)
    }

    /// Puts a recipe in place of the last one.
    pub(crate) fn put_recipe(&self, bytes: &[u8]) {
        let name = Self::diff_id().hex();
        replace(&self.store.path().join("recipes").join(name), bytes);
    }

    /// Puts a segment in place of the last one with this id.
    pub(crate) fn put_segment(&self, id: [u8; 32], bytes: &[u8]) {
        let name = hex(&id);
        let (first, rest) = name.split_at(2);
        let directory = self.store.path().join("segments").join(first);
        fs::create_dir_all(&directory).expect("a directory");
        replace(&directory.join(rest), bytes);
    }

    /// Reads the layer in every way; gives its tar unless that is damaged. Whatever is in the
    /// files, the result is an error of damage or bytes that fit what the recipe says.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let diff_id = Self::diff_id();
        let stop = AtomicBool::new(false);
        let info = match self.store.layer(&diff_id) {
            Ok(info) => info.expect("the recipe is there"),
            Err(error) => {
                is_damage(&error);
                assert!(LayerReader::open(&self.store, &diff_id).is_err());
                return None;
            }
        };
        let reader = match LayerReader::open(&self.store, &diff_id) {
            Ok(reader) => Arc::new(reader),
            Err(error) => {
                is_damage(&error);
                return None;
            }
        };
        assert_eq!(*reader.info(), info);
        let mut tar = Vec::new();
        let written = reader.write_tar(&mut tar, &stop);
        for (offset, length) in [(0, 1), (info.size / 2, 600), (info.size.wrapping_sub(1), 2)] {
            let mut part = Vec::new();
            match reader.read_range(offset, length, &mut part) {
                Ok(()) if written.is_ok() => {
                    let start = usize::try_from(offset).expect("an offset in memory");
                    assert_eq!(part, tar[start..][..part.len()]);
                }
                Ok(()) => {}
                Err(error) => is_damage(&error),
            }
        }
        match self.store.tree_index(&diff_id) {
            Ok(_) => {
                let name = self.store.path().join("unsynced").join(self.store.token());
                let _ = fs::remove_file(name.join("trees").join(diff_id.hex()));
            }
            Err(error) => is_damage(&error),
        }
        match written {
            Ok(length) => {
                assert_eq!(length, tar.len() as u64);
                assert_eq!(length, info.size);
                Some(tar)
            }
            Err(error) => {
                is_damage(&error);
                None
            }
        }
    }
}

/// What may be said of damaged files: nothing of the system's.
pub(crate) fn is_damage(error: &Error) {
    assert!(
        !matches!(error, Error::Io { .. }),
        "damage is not a failure of the system: {error}"
    );
}

/// A zstd frame as the store's own.
pub(crate) fn frame(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("zstd")
}

fn replace(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).expect("a file of the store");
    let private = fs::Permissions::from_mode(0o400);
    fs::set_permissions(path, private).expect("a mode");
}

/// The ids of the files below a place of the store, with their paths.
fn ids(place: &Path) -> Vec<([u8; 32], PathBuf)> {
    let mut found = Vec::new();
    for shard in fs::read_dir(place).expect("a place").flatten() {
        for file in fs::read_dir(shard.path()).expect("a shard").flatten() {
            let name = [shard.file_name(), file.file_name()].map(|name| {
                let name = name.into_string();
                name.expect("a name of digits")
            });
            found.push((from_hex(&name.concat()), file.path()));
        }
    }
    found.sort();
    found
}

fn hex(id: &[u8; 32]) -> String {
    DiffId::from_bytes(*id).hex()
}

fn from_hex(digits: &str) -> [u8; 32] {
    *DiffId::from_hex(digits).expect("an id").as_bytes()
}
