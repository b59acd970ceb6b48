//! The content key of a COPY: what it would copy, whatever it is copied onto.
//!
//! The key is a hash over two parts: what a selection tells by itself, and the ids of the contents
//! in the same order. So it can be drafted before the contents are read, and be finished by the
//! pass that copies them.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::awaited::Awaited;
use super::item::{Body, Item, Match};
use super::{CopyOperation, CopySource};
use crate::digest::{ContentHasher, ContentId};
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;

const KEY_CONTEXT: &str = "fastlayer copy key v2";

/// Bytes that are gathered before they are hashed: many blocks of the hash at once.
const GATHERED: usize = 64 << 10;

/// Bytes of a content's id.
const ID: usize = 32;

/// A key of which contents may be missing.
pub(super) struct Draft {
    hasher: blake3::Hasher,
    gathered: Vec<u8>,
    /// The ids of all contents; zeros where one is awaited.
    contents: Vec<u8>,
    /// Where in `contents` the awaited ones belong.
    gaps: Vec<usize>,
    awaited: Awaited,
}

impl Draft {
    /// The key of an operation whose sources were selected, as far as it is known by now. Items
    /// whose content is awaited are told their number.
    pub(super) fn new(
        operation: &CopyOperation,
        matches: &mut [Match],
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let mut draft = Self {
            hasher: blake3::Hasher::new_derive_key(KEY_CONTEXT),
            gathered: Vec::with_capacity(GATHERED),
            contents: Vec::new(),
            gaps: Vec::new(),
            awaited: Awaited::default(),
        };
        draft.operation(operation);
        let mut links: HashMap<(usize, u64, u64), Vec<u8>> = HashMap::new();
        for (number, found) in matches.iter_mut().enumerate() {
            check_cancelled(cancel)?;
            draft.found(number, found, &mut links, cancel)?;
        }
        Ok(draft)
    }

    /// The contents that the key waits for.
    pub(super) fn awaited(&mut self) -> &mut Awaited {
        &mut self.awaited
    }

    /// The key, once all awaited contents are known.
    pub(super) fn finish(mut self, cancel: &AtomicBool) -> Result<ContentId> {
        let ids = self.awaited.settle(cancel)?;
        for (gap, id) in self.gaps.iter().zip(&ids) {
            self.contents[*gap..gap + ID].copy_from_slice(id.as_bytes());
        }
        self.number((self.contents.len() / ID) as u64);
        self.hasher.update(&self.gathered);
        self.hasher.update(&self.contents);
        Ok(ContentId::from_bytes(*self.hasher.finalize().as_bytes()))
    }

    fn operation(&mut self, operation: &CopyOperation) {
        self.number(u64::from(operation.parents) | u64::from(operation.unpack) << 1);
        self.number(operation.sources.len() as u64);
        for source in &operation.sources {
            self.number(match source {
                CopySource::Context { .. } | CopySource::Tree { .. } => 0,
                CopySource::Inline { .. } => 1,
                // Its time is of its own, not of a checkout or a clone: it counts.
                CopySource::File { mtime, .. } => 2_u64.wrapping_add(mtime.unsigned_abs() << 2),
            });
        }
    }

    fn found(
        &mut self,
        number: usize,
        found: &mut Match,
        links: &mut HashMap<(usize, u64, u64), Vec<u8>>,
        cancel: &AtomicBool,
    ) -> Result<()> {
        self.number(found.source as u64);
        self.bytes(&found.name);
        self.number(u64::from(found.is_directory()) | u64::from(found.replaces) << 1);
        for item in &found.parents {
            self.attributes(item);
        }
        self.number(found.items.len() as u64);
        let is_root_copied = !found.parents.is_empty();
        for item in &mut found.items {
            // The top of a copied directory gives nothing to the layer.
            if item.relative.is_empty() && item.is_directory() && !is_root_copied {
                continue;
            }
            self.attributes(item);
            if let Some((device, inode)) = item.inode {
                let place = [&number.to_le_bytes()[..], &item.relative].concat();
                let group = (found.source, device, inode);
                let first = links.entry(group).or_insert_with(|| place.clone());
                if *first != place {
                    self.bytes(first);
                    continue;
                }
            }
            self.content(item, cancel)?;
        }
        Ok(())
    }

    fn number(&mut self, number: u64) {
        self.push(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.push(bytes);
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn attributes(&mut self, item: &Item) {
        self.bytes(&item.relative);
        let mode = if item.kind == Kind::Symlink {
            0
        } else {
            item.mode
        };
        let numbers = [
            item.kind as u32,
            mode,
            item.uid,
            item.gid,
            item.device.0,
            item.device.1,
        ];
        let mut bytes = [0; 24];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.push(&bytes);
        self.bytes(&item.link);
        self.number(item.xattrs.len() as u64);
        for (name, value) in &item.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn content(&mut self, item: &mut Item, cancel: &AtomicBool) -> Result<()> {
        if item.kind != Kind::File {
            return Ok(());
        }
        let id = match (&item.content, &item.body) {
            (Some(id), _) => *id,
            (None, Body::Local { path }) => hash_file(path, cancel)?,
            (None, Body::Context { .. }) => {
                item.awaited = self.awaited.push(item);
                self.gaps.push(self.contents.len());
                ContentId::from_bytes([0; ID])
            }
            (None, _) => {
                let name = display_path(&item.relative);
                return Err(Error::corrupt(name, "its content has no id"));
            }
        };
        self.contents.extend_from_slice(id.as_bytes());
        Ok(())
    }
}

fn hash_file(path: &std::path::Path, cancel: &AtomicBool) -> Result<ContentId> {
    let failed = |source| Error::io(path.display(), source);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        check_cancelled(cancel)?;
        match crate::read::read_some(&mut file, &mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
