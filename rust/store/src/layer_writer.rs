//! The one place where a layer is made: tar bytes become objects, segments, a recipe, a tree index
//! and a DiffID, in one pass.
//!
//! Tars that come in are handed over event by event; layers of our own are given as entries with
//! the source of their content, and get the deterministic headers of [`fastlayer_tar`]. Nothing is
//! visible before [`SealedLayer::publish`]. What a layer that was given up has stored by then is
//! removed by garbage collection.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::{Published, TemporaryFile};
use fastlayer_tar::{Entry, TRAILER, encode_header, padding};

use crate::assembler::Assembled;
use crate::digest::DiffId;
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::FileSource;
use crate::indexing;
use crate::intake::Intake;
use crate::layer_info::LayerInfo;
use crate::lease::Writing;
use crate::pipeline::{Pipeline, complete};
use crate::progress::Progress;
use crate::recipe::REASON_LIMIT;
use crate::store::Store;
use crate::worker::Unit;

/// When a layer must be on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At the next [`Store::sync`]; a crash before it takes the layer away.
    Deferred,
    /// When it is published.
    #[default]
    Now,
}

/// How a layer is made.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// When it must be on disk.
    pub durability: Durability,
    /// Set to end the work with [`Error::Interrupted`].
    pub cancel: Arc<AtomicBool>,
    /// Threads that read files and store objects.
    pub workers: usize,
    /// Counts the bytes of the layer's tar as they are made.
    pub progress: Arc<Progress>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Now,
            cancel: Arc::default(),
            workers: 2,
            progress: Arc::default(),
        }
    }
}

/// A layer being made.
pub struct LayerWriter {
    store: Store,
    options: WriterOptions,
    /// Before the pipeline, and so dropped before it: a worker may be waiting for more of it.
    intake: Intake,
    pipeline: Pipeline,
    raw_reason: Option<String>,
    /// Sum of what the sparse files so far expand to, bytes.
    expanded: u64,
    writing: Writing,
}

impl LayerWriter {
    /// Starts a layer.
    pub fn new(store: &Store, options: WriterOptions) -> Result<Self> {
        Ok(Self {
            writing: store.writing_unless(&options.cancel)?,
            pipeline: Pipeline::start(store, &options)?,
            store: store.clone(),
            options,
            intake: Intake::new(),
            raw_reason: None,
            expanded: 0,
        })
    }

    /// A member of a tar begins, with its raw header bytes. Its content follows by
    /// [`Self::content`], as many bytes as `entry.size` says.
    ///
    /// # Errors
    /// [`Error::Limit`] of a sparse file that expands to more than may be.
    pub fn entry(&mut self, entry: &Entry, header: &[u8]) -> Result<()> {
        check_cancelled(&self.options.cancel)?;
        indexing::check_sparse(entry, &mut self.expanded)?;
        self.intake.entry(&mut self.pipeline, entry, header)
    }

    /// The next bytes of the content of the last member.
    pub fn content(&mut self, bytes: &[u8]) -> Result<()> {
        self.intake.content(&mut self.pipeline, bytes)
    }

    /// Room for the next bytes of the content of the last member, at least one and at most `limit`,
    /// which must not be more than are expected. [`Self::content_filled`] must follow.
    pub(crate) fn content_space(&mut self, limit: u64) -> Result<&mut [u8]> {
        self.intake.content_space(&mut self.pipeline, limit)
    }

    /// The first `count` bytes of [`Self::content_space`] are there.
    pub(crate) fn content_filled(&mut self, count: usize) -> Result<()> {
        self.intake.filled(&mut self.pipeline, count)
    }

    /// Bytes that belong to no member's meaning.
    pub fn padding(&mut self, bytes: &[u8]) -> Result<()> {
        check_cancelled(&self.options.cancel)?;
        self.intake.other(&mut self.pipeline, bytes)
    }

    /// The end of a tar, and whatever comes after it.
    pub fn trailer(&mut self, bytes: &[u8]) -> Result<()> {
        self.padding(bytes)
    }

    /// A regular file with our own header, its content and its padding. The content must have
    /// exactly `entry.size` bytes.
    pub fn file(&mut self, entry: &Entry, source: FileSource) -> Result<()> {
        check_cancelled(&self.options.cancel)?;
        self.intake.flush(&mut self.pipeline)?;
        if let FileSource::Bytes(bytes) = &source
            && bytes.len() as u64 != entry.size
        {
            let detail = format!("has {} bytes, not {}", bytes.len(), entry.size);
            return Err(Error::source(&entry.path, detail));
        }
        let header = own_header(entry)?;
        let size = entry.size;
        self.member(entry, header, Some(Box::new(source)), size)
    }

    /// A member that is no regular file, with our own header.
    pub fn other(&mut self, entry: &Entry) -> Result<()> {
        check_cancelled(&self.options.cancel)?;
        self.intake.flush(&mut self.pipeline)?;
        let header = own_header(entry)?;
        self.member(entry, header, None, 0)
    }

    /// Keeps the layer raw: it will have no tree. The first reason counts.
    pub fn mark_raw(&mut self, reason: impl Into<String>) {
        let mut reason = reason.into();
        while reason.len() > REASON_LIMIT {
            reason.pop();
        }
        self.raw_reason.get_or_insert(reason);
    }

    /// Ends the layer and publishes it.
    pub fn finish(self) -> Result<LayerInfo> {
        self.seal()?.publish()
    }

    /// Adds the end blocks of our own tars, ends the layer and publishes it.
    pub fn finish_canonical(mut self) -> Result<LayerInfo> {
        self.trailer(&TRAILER)?;
        self.finish()
    }

    /// Ends the layer. It is visible only when it is published, so that its DiffID can be
    /// checked before.
    pub fn seal(mut self) -> Result<SealedLayer> {
        if self.intake.expects_content() {
            return Err(Error::format(
                "layer",
                "its last file's content is cut short",
            ));
        }
        self.intake.flush(&mut self.pipeline)?;
        let (assembled, added) = complete(self.pipeline, self.raw_reason)?;
        check_cancelled(&self.options.cancel)?;
        Ok(SealedLayer {
            store: self.store,
            durability: self.options.durability,
            assembled,
            added,
            _writing: self.writing,
        })
    }

    fn member(
        &mut self,
        entry: &Entry,
        header: Vec<u8>,
        source: Option<Box<FileSource>>,
        content: u64,
    ) -> Result<()> {
        let bytes = header.len() as u64 + content;
        let unit = Unit::Entry {
            entry: Box::new(entry.clone()),
            header,
            source,
        };
        self.pipeline.push(unit, bytes)
    }
}

fn own_header(entry: &Entry) -> Result<Vec<u8>> {
    let mut header = Vec::with_capacity(512 + padding(1));
    encode_header(entry, &mut header).map_err(|error| Error::unsafe_path(&entry.path, error))?;
    Ok(header)
}

/// A layer that is complete and not yet visible.
pub struct SealedLayer {
    store: Store,
    durability: Durability,
    assembled: Assembled,
    added: u64,
    _writing: Writing,
}

impl SealedLayer {
    /// The layer's DiffID.
    pub fn diff_id(&self) -> DiffId {
        self.assembled.recipe.info.diff_id
    }

    /// Makes the layer visible, and durable if that was asked for.
    pub fn publish(mut self) -> Result<LayerInfo> {
        let diff_id = self.diff_id();
        let mut added = self.added + self.assembled.added;
        self.store.clear_recipe(&self.assembled.recipe)?;
        if let Some(index) = &self.assembled.index {
            if self.store.distrusts() {
                self.store.clear_tree(&diff_id, index)?;
            }
            added += self.store.put_tree(&diff_id, index)?;
        }
        let info = match self.store.layer(&diff_id)? {
            Some(mut info) => {
                info.added_bytes = added;
                info
            }
            None => {
                self.assembled.recipe.info.added_bytes = added;
                self.write_recipe(&diff_id)?;
                self.assembled.recipe.info
            }
        };
        if self.durability == Durability::Now {
            self.store.sync()?;
        }
        Ok(info)
    }

    fn write_recipe(&mut self, diff_id: &DiffId) -> Result<()> {
        let bytes = self.assembled.recipe.encode()?;
        let recipes = &self.store.unsynced().recipes;
        publish(&self.store, recipes, diff_id, &bytes)?;
        self.assembled.recipe.info.added_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Gives `bytes` the name of a layer in `directory`, unless it is taken.
pub(crate) fn publish(
    store: &Store,
    directory: &fastlayer_fs::Directory,
    diff_id: &DiffId,
    bytes: &[u8],
) -> Result<Published> {
    let mut file = TemporaryFile::new_in(store.staging(), 0o400)?;
    file.file_mut().write_all(bytes).map_err(|source| {
        let path = directory.path_to(diff_id.hex().as_bytes());
        Error::io(format!("cannot write {}", path.display()), source)
    })?;
    Ok(file.publish(directory, diff_id.hex().as_bytes())?)
}
