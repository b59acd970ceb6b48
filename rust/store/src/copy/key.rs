//! The content key of a COPY: what it would copy, whatever it is copied onto.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::item::{Body, Item, Match};
use super::{CopyOperation, CopySource};
use crate::digest::{ContentHasher, ContentId};
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;

const KEY_CONTEXT: &str = "fastlayer copy key v1";

/// The key of an operation whose sources were selected.
pub(super) fn key(
    operation: &CopyOperation,
    matches: &[Match],
    cancel: &AtomicBool,
) -> Result<ContentId> {
    let mut key = Key {
        hasher: blake3::Hasher::new_derive_key(KEY_CONTEXT),
    };
    key.number(u64::from(operation.parents) | u64::from(operation.unpack) << 1);
    key.number(operation.sources.len() as u64);
    for source in &operation.sources {
        key.number(match source {
            CopySource::Context { .. } | CopySource::Tree { .. } => 0,
            CopySource::Inline { .. } => 1,
            // Its time is of its own, not of a checkout or a clone: it counts.
            CopySource::File { mtime, .. } => 2_u64.wrapping_add(mtime.unsigned_abs() << 2),
        });
    }
    let mut links: HashMap<(usize, u64, u64), Vec<u8>> = HashMap::new();
    for (number, found) in matches.iter().enumerate() {
        check_cancelled(cancel)?;
        key.number(found.source as u64);
        key.bytes(&found.name);
        key.number(u64::from(found.is_directory()) | u64::from(found.replaces) << 1);
        for item in &found.parents {
            key.attributes(item);
        }
        for item in &found.items {
            // The top of a copied directory gives nothing to the layer.
            if item.relative.is_empty() && item.is_directory() && found.parents.is_empty() {
                continue;
            }
            key.attributes(item);
            let place = [&number.to_le_bytes()[..], &item.relative].concat();
            let first = item.inode.map(|(device, inode)| {
                links
                    .entry((found.source, device, inode))
                    .or_insert_with(|| place.clone())
                    .clone()
            });
            match first {
                Some(first) if first != place => key.bytes(&first),
                _ => key.content(item, cancel)?,
            }
        }
    }
    Ok(ContentId::from_bytes(*key.hasher.finalize().as_bytes()))
}

struct Key {
    hasher: blake3::Hasher,
}

impl Key {
    fn number(&mut self, number: u64) {
        self.hasher.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hasher.update(bytes);
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
        for number in numbers {
            self.hasher.update(&number.to_le_bytes());
        }
        self.bytes(&item.link);
        self.number(item.xattrs.len() as u64);
        for (name, value) in &item.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn content(&mut self, item: &Item, cancel: &AtomicBool) -> Result<()> {
        if item.kind != Kind::File {
            return Ok(());
        }
        let id = match (&item.content, &item.body) {
            (Some(id), _) => *id,
            (None, Body::Local { path }) => hash_file(path, cancel)?,
            (None, _) => {
                let name = display_path(&item.relative);
                return Err(Error::corrupt(name, "its content has no id"));
            }
        };
        self.hasher.update(id.as_bytes());
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
