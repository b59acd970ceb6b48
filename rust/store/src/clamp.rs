//! A layer again, with no time in it after a given one.
//!
//! The clamped layer is a function of the layer and the time alone: the same members in the same
//! order, under our own deterministic headers. Contents that are objects are taken by their id and
//! not stored again.

use std::collections::HashMap;
use std::sync::Arc;

use fastlayer_tar::{EntryKind, Event, Limits, Reader, Timestamp, path};

use crate::digest::{ContentId, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::FileSource;
use crate::index::TreeIndex;
use crate::layer_info::LayerInfo;
use crate::layer_reader::LayerReader;
use crate::layer_writer::{LayerWriter, WriterOptions};
use crate::object::INLINE_LIMIT;
use crate::store::Store;

impl Store {
    /// The layer with every time of modification that is after `epoch` (seconds since 1970) set to
    /// it. A layer without such a time is given back as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the layer, [`Error::Raw`] of a raw one.
    pub fn clamp(
        &self,
        diff_id: &DiffId,
        epoch: i64,
        options: &WriterOptions,
    ) -> Result<LayerInfo> {
        let index = self.tree_index(diff_id)?;
        let reader = Arc::new(LayerReader::open(self, diff_id)?);
        if !has_later(&index, epoch)? {
            let mut info = reader.info().clone();
            info.added_bytes = 0;
            return Ok(info);
        }
        let mut clamp = Clamp {
            writer: LayerWriter::new(self, options.clone())?,
            contents: contents(&index)?,
            epoch,
            file: None,
        };
        let mut parser = Reader::new(Limits::default());
        let mut bytes = Vec::new();
        for row in 0..reader.recipe().rows.len() {
            check_cancelled(&options.cancel)?;
            bytes.clear();
            reader.expand(row, &mut bytes)?;
            parser.feed(&bytes, &mut |event: Event<'_>| clamp.event(event))?;
        }
        parser.finish(&mut |event: Event<'_>| clamp.event(event))?;
        clamp.writer.finish_canonical()
    }
}

/// Whether a member is younger than `epoch`.
fn has_later(index: &TreeIndex, epoch: i64) -> Result<bool> {
    for row in index.iter() {
        let row = row?;
        // Our own layers have whole seconds.
        if !row.implicit() && row.mtime().seconds > epoch {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The contents that are objects, by path.
fn contents(index: &TreeIndex) -> Result<HashMap<Vec<u8>, ContentId>> {
    let mut found = HashMap::new();
    for row in index.iter() {
        let row = row?;
        if let Some(content) = row.content()
            && row.size() > INLINE_LIMIT
        {
            found.insert(row.path()?, content);
        }
    }
    Ok(found)
}

/// Writes the members of a tar again as they come.
struct Clamp {
    writer: LayerWriter,
    contents: HashMap<Vec<u8>, ContentId>,
    epoch: i64,
    /// The file whose content is being gathered.
    file: Option<(Box<fastlayer_tar::Entry>, Vec<u8>)>,
}

impl Clamp {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Entry { entry, .. } => self.entry(entry),
            Event::Content(bytes) => self.content(bytes),
            // Padding and the end blocks are the writer's own.
            Event::Padding(_) | Event::Trailer(_) => Ok(()),
        }
    }

    fn entry(&mut self, entry: &fastlayer_tar::Entry) -> Result<()> {
        let mut entry = Box::new(entry.clone());
        let name =
            path::normalise(&entry.path).map_err(|error| Error::unsafe_path(&entry.path, error))?;
        entry.path = name;
        entry.mtime = Timestamp::from_seconds(entry.mtime.seconds.min(self.epoch));
        if entry.kind != EntryKind::File {
            return self.writer.other(&entry);
        }
        if entry.sparse.is_some() {
            return Err(Error::format(
                "layer",
                "it has a sparse file, so it is none of ours",
            ));
        }
        if entry.size > INLINE_LIMIT
            && let Some(content) = self.contents.get(&entry.path)
        {
            return self.writer.file(&entry, FileSource::Object(*content));
        }
        if entry.size == 0 {
            return self.writer.file(&entry, FileSource::Bytes(Vec::new()));
        }
        self.file = Some((entry, Vec::new()));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((entry, gathered)) = &mut self.file else {
            return Ok(());
        };
        gathered.extend_from_slice(bytes);
        if gathered.len() as u64 == entry.size
            && let Some((entry, gathered)) = self.file.take()
        {
            self.writer.file(&entry, FileSource::Bytes(gathered))?;
        }
        Ok(())
    }
}
