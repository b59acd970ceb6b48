//! Reading layers: their tars, bit for bit, and single contents.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use fastlayer_fs::Map;

use crate::assembler::SLICE;
use crate::digest::{ContentId, DiffId, SegmentId};
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::FileSource;
use crate::index::{EntryRef, TreeIndex};
use crate::indexing::NO_OFFSET;
use crate::layer_info::LayerInfo;
use crate::object::INLINE_LIMIT;
use crate::read::read_full;
use crate::recipe::{Recipe, Row, read_info};
use crate::segment::StoredSegment;
use crate::store::Store;

/// An open layer. Threads may share it.
#[derive(Debug)]
pub struct LayerReader {
    store: Store,
    recipe: Recipe,
    /// Where each row's bytes begin in the tar.
    offsets: Vec<u64>,
    /// The row read last, by number: small files next to each other are read one by one.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl Store {
    /// What is known of a layer; `None` if it is not stored.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<LayerInfo>> {
        self.name_layer(diff_id)?;
        match self.open_recipe(diff_id)? {
            Some(mut file) => read_info(diff_id, &mut file).map(Some),
            None => Ok(None),
        }
    }

    /// All layers, sorted.
    pub fn layers(&self) -> Result<Vec<DiffId>> {
        let mut layers = Vec::new();
        for area in [self.unsynced(), self.durable()] {
            for entry in area.recipes.entries()?.iter() {
                let name = String::from_utf8_lossy(entry.name);
                layers.extend(DiffId::from_hex(&name).ok());
            }
        }
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }

    /// The tree index of a layer; made anew from the layer where it is missing or damaged.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the layer, [`Error::Raw`] of a raw one.
    pub fn tree_index(&self, diff_id: &DiffId) -> Result<TreeIndex> {
        self.require_layer(diff_id)?;
        if let Some(index) = self.indexes().find(diff_id) {
            return Ok(index);
        }
        let name = diff_id.hex();
        for area in [self.durable(), self.unsynced(), self.durable()] {
            match area.trees.open_file(name.as_bytes()) {
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
                Ok(file) => {
                    let path = area.trees.path_to(name.as_bytes());
                    if let Ok(index) = TreeIndex::new(Map::of(&file, &path)?) {
                        self.indexes().keep(diff_id, &index);
                        return Ok(index);
                    }
                    crate::area::remove(&area.trees, name.as_bytes())?;
                }
            }
        }
        crate::rebuild::tree_index(self, diff_id)
    }

    /// Names a layer to the lease and makes sure that it is there and stays. What is derived from
    /// a layer outlives it for a moment while it is collected, so that alone says nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn require_layer(&self, diff_id: &DiffId) -> Result<()> {
        self.name_layer(diff_id)?;
        match self.open_recipe(diff_id)? {
            Some(_) => Ok(()),
            None => Err(Error::not_found(format!("layer {diff_id}"))),
        }
    }

    /// Stores a layer's tree index unless it is there; gives the bytes added.
    pub(crate) fn put_tree(&self, diff_id: &DiffId, bytes: &[u8]) -> Result<u64> {
        let name = diff_id.hex();
        if self.durable().trees.find_child(name.as_bytes())?.is_some() {
            return Ok(0);
        }
        let trees = &self.unsynced().trees;
        match crate::layer_writer::publish(self, trees, diff_id, bytes)? {
            fastlayer_fs::Published::New => Ok(bytes.len() as u64),
            fastlayer_fs::Published::Exists => Ok(0),
        }
    }

    pub(crate) fn open_recipe(&self, diff_id: &DiffId) -> Result<Option<File>> {
        let name = diff_id.hex();
        self.open_settled(name.as_bytes(), || {
            for area in [self.durable(), self.unsynced(), self.durable()] {
                match area.recipes.open_file(name.as_bytes()) {
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                    Ok(file) => return Ok(Some(file)),
                }
            }
            Ok(None)
        })
    }

    /// Writes the layer's tar, byte for byte; gives its length.
    pub fn write_tar(
        &self,
        diff_id: &DiffId,
        output: &mut dyn Write,
        cancel: &AtomicBool,
    ) -> Result<u64> {
        LayerReader::open(self, diff_id)?.write_tar(output, cancel)
    }
}

impl LayerReader {
    /// Opens a layer.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`].
    pub fn open(store: &Store, diff_id: &DiffId) -> Result<Self> {
        store.name_layer(diff_id)?;
        let recipe = read_recipe(store, diff_id)?;
        let mut position = 0;
        let offsets = recipe
            .rows
            .iter()
            .map(|row| {
                let offset = position;
                position += row.length();
                offset
            })
            .collect();
        Ok(Self {
            store: store.clone(),
            recipe,
            offsets,
            last: Mutex::new(None),
        })
    }

    /// What is known of the layer.
    pub fn info(&self) -> &LayerInfo {
        &self.recipe.info
    }

    /// Every object that the layer needs.
    pub fn objects(&self) -> &[ContentId] {
        &self.recipe.objects
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Writes the layer's tar, byte for byte; gives its length.
    pub fn write_tar(&self, output: &mut dyn Write, cancel: &AtomicBool) -> Result<u64> {
        let mut bytes = Vec::new();
        for row in 0..self.recipe.rows.len() {
            check_cancelled(cancel)?;
            bytes.clear();
            self.expand(row, &mut bytes)?;
            output
                .write_all(&bytes)
                .map_err(|source| Error::io("cannot write the tar", source))?;
        }
        Ok(self.recipe.info.size)
    }

    /// Appends the tar bytes of a row to `output`.
    pub(crate) fn expand(&self, number: usize, output: &mut Vec<u8>) -> Result<()> {
        let missing = || Error::corrupt(self.name(), "a row points outside of it");
        match *self.recipe.rows.get(number).ok_or_else(missing)? {
            Row::Heap { offset, length } => {
                let start = usize::try_from(offset).map_err(|_| missing())?;
                let length = usize::try_from(length).map_err(|_| missing())?;
                let bytes = self
                    .recipe
                    .heap
                    .get(start..)
                    .and_then(|heap| heap.get(..length));
                output.extend_from_slice(bytes.ok_or_else(missing)?);
                Ok(())
            }
            Row::Segment { index, length } => {
                let id = self
                    .recipe
                    .segments
                    .get(index as usize)
                    .ok_or_else(missing)?;
                let before = output.len();
                StoredSegment::read(&self.store, *id)?.expand(&self.store, output)?;
                if (output.len() - before) as u64 == length {
                    return Ok(());
                }
                Err(Error::corrupt(
                    format!("segment {id}"),
                    "its length is wrong",
                ))
            }
            Row::Object {
                index,
                offset,
                length,
            } => {
                let id = self
                    .recipe
                    .objects
                    .get(index as usize)
                    .ok_or_else(missing)?;
                read_slice(&self.store, id, offset, length, output)
            }
        }
    }

    /// As [`Self::expand`], and compares with the ids as far as whole contents are read: all but
    /// objects of several slices.
    pub(crate) fn expand_checked(&self, number: usize, output: &mut Vec<u8>) -> Result<()> {
        let start = output.len();
        self.expand(number, output)?;
        let bytes = output.get(start..).unwrap_or_default();
        let (what, expected) = match self.recipe.rows.get(number) {
            Some(Row::Segment { index, .. }) => {
                let id = self.recipe.segments.get(*index as usize).copied();
                ("segment", id)
            }
            Some(Row::Object {
                index,
                offset: 0,
                length,
            }) if *length < SLICE => {
                let id = self.recipe.objects.get(*index as usize).copied();
                ("object", id.map(SegmentId::from))
            }
            _ => return Ok(()),
        };
        let found = SegmentId::from(ContentId::of(bytes));
        match expected {
            Some(expected) if expected != found => Err(Error::corrupt(
                format!("{what} {expected}"),
                format!("its bytes have the id {found}"),
            )),
            _ => Ok(()),
        }
    }

    /// Appends `length` tar bytes from `offset` on.
    pub fn read_range(&self, offset: u64, length: u64, output: &mut Vec<u8>) -> Result<()> {
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= self.recipe.info.size)
            .ok_or_else(|| Error::corrupt(self.name(), "a content lies outside of its tar"))?;
        let mut position = offset;
        while position < end {
            let number = self.offsets.partition_point(|start| *start <= position) - 1;
            let bytes = self.row(number)?;
            let skip = usize::try_from(position - self.offsets[number]).unwrap_or(usize::MAX);
            let count = usize::try_from(end - position).unwrap_or(usize::MAX);
            let part = bytes.get(skip..).unwrap_or_default();
            let part = &part[..part.len().min(count)];
            if part.is_empty() {
                return Err(Error::corrupt(self.name(), "a row is shorter than it says"));
            }
            output.extend_from_slice(part);
            position += part.len() as u64;
        }
        Ok(())
    }

    fn row(&self, number: usize) -> Result<Arc<Vec<u8>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, bytes)) = &*last
            && *known == number
        {
            return Ok(Arc::clone(bytes));
        }
        let mut bytes = Vec::new();
        self.expand(number, &mut bytes)?;
        let bytes = Arc::new(bytes);
        *last = Some((number, Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// Where the content of a regular file of this layer's index is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row without content.
    pub fn source(self: &Arc<Self>, entry: &EntryRef<'_>) -> Result<FileSource> {
        let id = entry
            .content()
            .ok_or_else(|| Error::corrupt(self.name(), "a file has no content"))?;
        if entry.size() > INLINE_LIMIT || entry.data_offset() == NO_OFFSET {
            return Ok(FileSource::Object(id));
        }
        Ok(FileSource::Layer {
            reader: Arc::clone(self),
            data_offset: entry.data_offset(),
        })
    }

    /// Writes the content of a regular file of this layer's index to `output`, at most `limit`
    /// bytes; gives the bytes written.
    pub fn read_content(
        self: &Arc<Self>,
        entry: &EntryRef<'_>,
        limit: Option<u64>,
        output: &mut dyn Write,
    ) -> Result<u64> {
        let size = limit.map_or(entry.size(), |limit| limit.min(entry.size()));
        let failed = |source| Error::io("cannot write a content", source);
        match self.source(entry)? {
            FileSource::Object(id) => {
                let mut object = self.store.open_object(&id)?.take(size);
                std::io::copy(&mut object, output).map_err(failed)
            }
            _ => {
                let mut bytes = Vec::new();
                self.read_range(entry.data_offset(), size, &mut bytes)?;
                output.write_all(&bytes).map_err(failed)?;
                Ok(size)
            }
        }
    }

    fn name(&self) -> String {
        format!("layer {}", self.recipe.info.diff_id)
    }
}

/// Reads and checks a recipe.
pub(crate) fn read_recipe(store: &Store, diff_id: &DiffId) -> Result<Recipe> {
    let mut file = store
        .open_recipe(diff_id)?
        .ok_or_else(|| Error::not_found(format!("layer {diff_id}")))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|source| Error::io(format!("cannot read recipe {diff_id}"), source))?;
    Recipe::decode(diff_id, &bytes)
}

fn read_slice(
    store: &Store,
    id: &ContentId,
    offset: u64,
    length: u64,
    output: &mut Vec<u8>,
) -> Result<()> {
    let failed = |source| Error::io(format!("cannot read object {id}"), source);
    let short = || Error::corrupt(format!("object {id}"), "is cut short");
    let mut file = store.open_object(id)?;
    let size = file.metadata().map_err(failed)?.len();
    // Before anything is made of numbers that a damaged recipe may have.
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(short());
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let length = usize::try_from(length).map_err(|_| short())?;
    let start = output.len();
    output.resize(start + length, 0);
    match read_full(&mut file, &mut output[start..]).map_err(failed)? == length {
        true => Ok(()),
        false => Err(short()),
    }
}
