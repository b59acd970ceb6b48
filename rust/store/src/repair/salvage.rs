//! Finding what is missing elsewhere: in checkouts, and in the frames that exports left.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::{Directory, Kind as FileKind};

use crate::area::file_name;
use crate::checkout::{Linked, TREE};
use crate::decompress::decompress;
use crate::digest::{ContentHasher, ContentId, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::frame_cache::{ExportRecord, FrameCache};
use crate::frames::{Frame, frames};
use crate::index::{EntryRef, Kind};
use crate::ingest::IngestOptions;
use crate::layer_reader::{LayerReader, read_recipe};
use crate::object::{Birth, ObjectWriter};
use crate::store::Store;

/// Stores the objects again that recipes list and that are not there, as far as files of checkouts
/// have their content.
pub(super) fn objects_from_checkouts(store: &Store, cancel: &AtomicBool) -> Result<()> {
    let mut wanted = HashSet::new();
    for diff_id in store.layers()? {
        let Ok(recipe) = read_recipe(store, &diff_id) else {
            continue;
        };
        for id in recipe.objects {
            if !store.has_object(&id)? {
                wanted.insert(id);
            }
        }
    }
    for checkout in store.known_checkouts()? {
        if wanted.is_empty() {
            break;
        }
        check_cancelled(cancel)?;
        // One of a layer whose index is lost, or that is damaged itself, tells nothing.
        if let Ok(Some(view)) = checkout.view(store) {
            search(store, &checkout.open()?, &view, &mut wanted)?;
        }
    }
    Ok(())
}

/// Looks for wanted contents in the checkout of the topmost layer of a view.
fn search(
    store: &Store,
    checkout: &Directory,
    view: &crate::tree::TreeView,
    wanted: &mut HashSet<ContentId>,
) -> Result<()> {
    let Some(top) = view.layers().last() else {
        return Ok(());
    };
    let linked = Linked::read(checkout).unwrap_or_default();
    let linked: HashSet<u32> = linked.rows.iter().map(|(_, row)| *row).collect();
    for row in top.index.iter() {
        let Ok(row) = row else { break };
        if let Some(id) = row.content()
            && row.kind() == Kind::File
            && wanted.contains(&id)
            && take(store, checkout, &row, &id, linked.contains(&row.number())).unwrap_or(false)
        {
            wanted.remove(&id);
        }
    }
    Ok(())
}

/// Makes the object of a checkout's file if that has its content: the file itself becomes it again
/// where the checkout was linked to it.
fn take(
    store: &Store,
    checkout: &Directory,
    row: &EntryRef<'_>,
    id: &ContentId,
    was_linked: bool,
) -> Result<bool> {
    let path = row.path()?;
    let (parent, name) = fastlayer_tar::path::split(&path).unwrap_or_default();
    let parent = checkout.open_child(TREE)?.open_descendant(parent)?;
    let metadata = parent.stat_child(name)?;
    if metadata.kind != FileKind::File || metadata.size != row.size() {
        return Ok(false);
    }
    let birth = Birth {
        mode: metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        seconds: metadata.mtime.seconds,
        nanoseconds: metadata.mtime.nanoseconds,
    };
    let mut writer = ObjectWriter::new(store, birth.mode)?;
    let mut file = parent.open_file(name)?;
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|source| Error::io(parent.path_to(name).display(), source))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        writer.write(&buffer[..count])?;
    }
    if hasher.finish() != *id {
        return Ok(false);
    }
    if was_linked {
        let shard = store.unsynced().objects.ensured(id.as_bytes()[0])?;
        parent.link_child_at(name, &shard, &file_name(id.as_bytes()))?;
        return Ok(true);
    }
    writer.publish(store, id, birth)?;
    Ok(true)
}

/// Stores a layer again from the frames that its exports left, and from its own rows that are
/// whole. Without its recipe all frames are needed.
pub(super) fn layer_from_frames(
    store: &Store,
    diff_id: &DiffId,
    cancel: &Arc<AtomicBool>,
) -> Result<()> {
    let cache = FrameCache::open(store)?;
    for record in cache.records_of(diff_id)? {
        check_cancelled(cancel)?;
        if record.contents.is_some() {
            continue; // zstd:chunked cuts elsewhere
        }
        let reader = LayerReader::open(store, diff_id).ok();
        let own = reader.as_ref().map(|reader| frames(reader.recipe()));
        let tar = SalvagedTar {
            cache: &cache,
            record,
            reader: reader.as_ref(),
            own: own.unwrap_or_default(),
            next: 0,
            bytes: Vec::new(),
            position: 0,
        };
        let options = IngestOptions {
            diff_id: Some(*diff_id),
            ..IngestOptions::default()
        };
        match store.store_again(tar, options, cancel) {
            // A frame was missing that the layer cannot do without.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            stored => return stored,
        }
    }
    Ok(())
}

/// A layer's tar, frame by frame from whichever place has it.
struct SalvagedTar<'a> {
    cache: &'a FrameCache<'a>,
    record: ExportRecord,
    reader: Option<&'a LayerReader>,
    /// The frames by the layer's recipe, if it can be read.
    own: Vec<Frame>,
    next: usize,
    bytes: Vec<u8>,
    position: usize,
}

impl SalvagedTar<'_> {
    fn fill(&mut self, number: usize) -> io::Result<()> {
        self.bytes.clear();
        self.position = 0;
        if let (Some(frame), Some(reader)) = (self.own.get(number), self.reader) {
            let expanded = frame
                .rows
                .clone()
                .try_for_each(|row| reader.expand_checked(row, &mut self.bytes));
            if expanded.is_ok() {
                return Ok(());
            }
            self.bytes.clear();
        }
        let piece = self.record.pieces.get(number);
        let frame = piece.and_then(|piece| self.cache.read_piece(piece));
        let frame = frame.ok_or(io::ErrorKind::NotFound)?;
        decompress(frame.as_slice(), &mut self.bytes)
            .map_err(io::Error::other)
            .map(drop)
    }
}

impl Read for SalvagedTar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.bytes.len() {
            if self.next >= self.record.pieces.len() {
                return Ok(0);
            }
            self.fill(self.next)?;
            self.next += 1;
        }
        let rest = &self.bytes[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}
