//! Contents of a build context that become known by being copied.
//!
//! A selection that is made to be copied has files that nobody has read yet. Whoever copies them
//! reports their ids, so that each is read once. What is not copied after all, because a later
//! source has the same path, is read at the end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use fastlayer_context::{ContentHash, Context, Entry};

use super::item::{Body, Item};
use crate::digest::ContentId;
use crate::error::{Error, Result};
use crate::file_source::Report;

/// The files that a key waits for, in the order of the key.
#[derive(Default)]
pub(super) struct Awaited {
    groups: Vec<(Arc<Context>, Vec<Entry>)>,
    count: usize,
    ids: Option<Arc<[OnceLock<ContentId>]>>,
}

impl Awaited {
    /// Waits for the content of an item; gives the number by which it is to be reported.
    pub(super) fn push(&mut self, item: &Item) -> Option<usize> {
        let Body::Context {
            context,
            top,
            metadata,
        } = &item.body
        else {
            return None;
        };
        let entry = Entry {
            path: item.path_below(top),
            metadata: *metadata,
            link: Vec::new(),
            xattrs: item.xattrs.clone(),
            content: None,
            is_cached: false,
        };
        match self.groups.last_mut() {
            Some((last, entries)) if Arc::ptr_eq(last, context) => entries.push(entry),
            _ => self.groups.push((Arc::clone(context), vec![entry])),
        }
        self.count += 1;
        Some(self.count - 1)
    }

    /// Where the content of that number is to be reported.
    pub(super) fn report(&mut self, number: usize) -> Report {
        let count = self.count;
        let ids = self
            .ids
            .get_or_insert_with(|| (0..count).map(|_| OnceLock::new()).collect());
        Report::new(Arc::clone(ids), number)
    }

    /// All ids, in order. The stat caches of the contexts learn them.
    pub(super) fn settle(&mut self, cancel: &AtomicBool) -> Result<Vec<ContentId>> {
        let mut settled = Vec::with_capacity(self.count);
        for (context, entries) in &mut self.groups {
            let mut unread = Vec::new();
            for (index, entry) in entries.iter_mut().enumerate() {
                let number = settled.len() + index;
                let id = self.ids.as_ref().and_then(|ids| ids.get(number)?.get());
                match id {
                    Some(id) => entry.content = Some(ContentHash(*id.as_bytes())),
                    None => unread.push((index, entry.metadata)),
                }
            }
            context.hash(entries, cancel)?;
            for (index, expected) in unread {
                let entry = &entries[index];
                if !entry.metadata.is_unchanged_since(&expected) {
                    return Err(Error::source(&entry.path, "changed while it was read"));
                }
            }
            let known = entries.iter().filter_map(|entry| entry.content);
            settled.extend(known.map(|hash| ContentId::from_bytes(hash.0)));
        }
        Ok(settled)
    }
}
