//! The store's class: each method converts, detaches and calls one function of the store.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use fastlayer_fs::WritebackFile;
use fastlayer_store::collect::Keep;
use fastlayer_store::copy::NewDirectory;
use fastlayer_store::export::{Codec, ExportOptions};
use fastlayer_store::usage::Group;
use fastlayer_store::{
    BlobDigest, DiffId, Durability, IngestOptions, Ladder, Level, Result, Store as LayerStore,
    WriterOptions,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::blocking::{self, Job};
use crate::copy::CopyOperation;
use crate::descriptor::{Output, Source};
use crate::lease::Lease;
use crate::namespace::try_mount;
use crate::plain_tree::PlainTree;
use crate::values::{Change, Collected, Entry, ExportedBlob, LayerInfo, Problem, Usage};
use crate::{descriptor, entries, errors};

/// A layer store, open for the life of the object.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Store(LayerStore);

/// A chain from its text form.
pub fn chain_of(py: Python<'_>, chain: &[String]) -> PyResult<Vec<DiffId>> {
    chain.iter().map(|text| diff_id_of(py, text)).collect()
}

fn diff_id_of(py: Python<'_>, text: &str) -> PyResult<DiffId> {
    text.parse().map_err(|error| errors::convert(py, error))
}

fn digest_of(py: Python<'_>, text: &str) -> PyResult<BlobDigest> {
    text.parse().map_err(|error| errors::convert(py, error))
}

/// What shall stay: each digest may be a layer's or a document's.
fn asked(py: Python<'_>, keep: &Py<PyAny>, forget_exports: bool) -> PyResult<Keep> {
    let digests: Vec<String> = keep.call0(py)?.extract(py)?;
    Ok(Keep {
        forget_exports,
        layers: chain_of(py, &digests)?.into_iter().collect(),
        blobs: digests
            .iter()
            .map(|text| digest_of(py, text))
            .collect::<PyResult<_>>()?,
    })
}

/// Layers of the middle of a build are made durable together, by `sync`.
fn options(job: &Job) -> WriterOptions {
    WriterOptions {
        durability: Durability::Deferred,
        cancel: Arc::clone(&job.cancel),
        progress: Arc::clone(&job.progress),
        ..WriterOptions::default()
    }
}

fn ingest(
    store: &LayerStore,
    source: impl Read,
    job: &Job,
    blob_digest: Option<BlobDigest>,
    diff_id: Option<DiffId>,
) -> Result<fastlayer_store::LayerInfo> {
    // What counts here is what is read, not what it becomes.
    let writer = WriterOptions {
        progress: Arc::default(),
        ..options(job)
    };
    let options = IngestOptions {
        writer,
        blob_digest,
        diff_id,
        keep_blob: true,
    };
    store.ingest(source, options, &mut |count| job.progress.set(count))
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (root, *, create = true))]
    fn new(py: Python<'_>, root: PathBuf, create: bool) -> PyResult<Self> {
        let open = || {
            let ladder = Ladder::from_environment(try_mount)?;
            let store = LayerStore::open(&root, create)?;
            store.set_ladder(ladder);
            Ok(store)
        };
        blocking::short(py, open).map(Self)
    }

    #[getter]
    fn root(&self) -> OsString {
        self.0.path().as_os_str().to_owned()
    }

    fn put_document(&self, py: Python<'_>, data: Vec<u8>) -> PyResult<String> {
        blocking::short(py, || self.0.put_document(&data)).map(|digest| digest.to_string())
    }

    fn get_document<'py>(&self, py: Python<'py>, digest: &str) -> PyResult<Bound<'py, PyBytes>> {
        let digest = digest_of(py, digest)?;
        let data = blocking::short(py, || self.0.get_document(&digest))?;
        Ok(PyBytes::new(py, &data))
    }

    fn has_blob(&self, py: Python<'_>, digest: &str) -> PyResult<bool> {
        let digest = digest_of(py, digest)?;
        blocking::short(py, || self.0.has_blob(&digest))
    }

    #[pyo3(signature = (digest, fd, progress = None))]
    fn write_blob(
        &self,
        py: Python<'_>,
        digest: &str,
        fd: i32,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let digest = digest_of(py, digest)?;
        let output = WritebackFile::new(descriptor::file(py, fd)?);
        let work = |job: &Job| {
            let mut output = Output::new(output, job);
            self.0.write_blob(&digest, &mut output)
        };
        blocking::run(py, progress, work).map(drop)
    }

    fn decompress(&self, py: Python<'_>, fd: i32, output: i32) -> PyResult<()> {
        let (source, output) = (descriptor::file(py, fd)?, descriptor::file(py, output)?);
        let work = |job: &Job| {
            let mut output = Output::new(output, job);
            fastlayer_store::decompress::decompress(source, &mut output)
        };
        blocking::run(py, None, work).map(drop)
    }

    #[pyo3(signature = (fd, progress = None))]
    fn import_layer(
        &self,
        py: Python<'_>,
        fd: i32,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<LayerInfo> {
        let file = descriptor::file(py, fd)?;
        let work = |job: &Job| ingest(&self.0, file, job, None, None);
        blocking::run(py, progress, work).map(LayerInfo::from)
    }

    #[pyo3(signature = (source, digest, diff_id, progress = None, recheck = false))]
    fn import_blob(
        &self,
        py: Python<'_>,
        source: Source,
        digest: Option<&str>,
        diff_id: Option<&str>,
        progress: Option<&Bound<'_, PyAny>>,
        recheck: bool,
    ) -> PyResult<LayerInfo> {
        let source = source.open(py)?;
        let digest = digest.map(|text| digest_of(py, text)).transpose()?;
        let diff_id = diff_id.map(|text| diff_id_of(py, text)).transpose()?;
        let distrusting = recheck.then(|| self.0.distrusting());
        let store = distrusting.as_ref().unwrap_or(&self.0);
        let work = |job: &Job| ingest(store, source, job, digest, diff_id);
        blocking::run(py, progress, work).map(LayerInfo::from)
    }

    #[pyo3(signature = (base, operation, progress = None))]
    fn copy_layer(
        &self,
        py: Python<'_>,
        base: Vec<String>,
        operation: &CopyOperation,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<LayerInfo> {
        let base = chain_of(py, &base)?;
        let work = |job: &Job| self.0.copy_layer(&base, &operation.0, &options(job));
        blocking::run(py, progress, work).map(LayerInfo::from)
    }

    #[pyo3(signature = (base, operation, progress = None))]
    fn copy_layer_keyed(
        &self,
        py: Python<'_>,
        base: Vec<String>,
        operation: &CopyOperation,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(LayerInfo, String)> {
        let base = chain_of(py, &base)?;
        let work = |job: &Job| {
            let options = options(job);
            self.0.copy_layer_keyed(&base, &operation.0, &options)
        };
        let (layer, key) = blocking::run(py, progress, work)?;
        Ok((layer.into(), key.hex()))
    }

    fn directory_layer(
        &self,
        py: Python<'_>,
        base: Vec<String>,
        path: Vec<u8>,
        owner: (u32, u32),
        mode: u32,
        mtime: i64,
    ) -> PyResult<Option<LayerInfo>> {
        let base = chain_of(py, &base)?;
        let directory = NewDirectory {
            path,
            owner,
            mode,
            mtime,
        };
        let work = |job: &Job| self.0.directory_layer(&base, &directory, &options(job));
        blocking::run(py, None, work).map(|made| made.map(LayerInfo::from))
    }

    #[pyo3(signature = (base, upper, *, adopt, progress = None))]
    fn diff_upper(
        &self,
        py: Python<'_>,
        base: Vec<String>,
        upper: PathBuf,
        adopt: bool,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<LayerInfo> {
        let base = chain_of(py, &base)?;
        let work = |job: &Job| self.0.diff_upper(&base, &upper, adopt, &options(job));
        blocking::run(py, progress, work).map(LayerInfo::from)
    }

    fn lay_out(
        &self,
        py: Python<'_>,
        chain: Vec<String>,
        directory: PathBuf,
    ) -> PyResult<PlainTree> {
        let chain = chain_of(py, &chain)?;
        let work = |job: &Job| self.0.lay_out(&chain, &directory, &job.cancel);
        blocking::run(py, None, work).map(PlainTree::from)
    }

    fn move_plain_tree(
        &self,
        py: Python<'_>,
        tree: &PlainTree,
        chain: Vec<String>,
    ) -> PyResult<()> {
        let chain = chain_of(py, &chain)?;
        let work = |job: &Job| tree.with(|tree| self.0.move_plain_tree(tree, &chain, &job.cancel));
        blocking::run(py, None, work)
    }

    #[pyo3(signature = (tree, progress = None))]
    fn diff_plain_tree(
        &self,
        py: Python<'_>,
        tree: &PlainTree,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<LayerInfo> {
        let work = |job: &Job| tree.with(|tree| self.0.diff_plain_tree(tree, &options(job)));
        blocking::run(py, progress, work).map(LayerInfo::from)
    }

    fn empty_layer(&self, py: Python<'_>) -> PyResult<LayerInfo> {
        let work = |job: &Job| {
            fastlayer_store::LayerWriter::new(&self.0, options(job))?.finish_canonical()
        };
        blocking::run(py, None, work).map(LayerInfo::from)
    }

    fn clamp_layer(&self, py: Python<'_>, diff_id: &str, epoch: i64) -> PyResult<LayerInfo> {
        let diff_id = diff_id_of(py, diff_id)?;
        let work = |job: &Job| self.0.clamp(&diff_id, epoch, &options(job));
        blocking::run(py, None, work).map(LayerInfo::from)
    }

    fn squash_layers(
        &self,
        py: Python<'_>,
        base: Vec<String>,
        chain: Vec<String>,
    ) -> PyResult<LayerInfo> {
        let (base, chain) = (chain_of(py, &base)?, chain_of(py, &chain)?);
        let work = |job: &Job| self.0.squash(&base, &chain, &options(job));
        blocking::run(py, None, work).map(LayerInfo::from)
    }

    fn layer(&self, py: Python<'_>, diff_id: &str) -> PyResult<Option<LayerInfo>> {
        let diff_id = diff_id_of(py, diff_id)?;
        let found = blocking::short(py, || self.0.layer(&diff_id))?;
        Ok(found.map(LayerInfo::from))
    }

    #[pyo3(signature = (diff_id, fd, progress = None))]
    fn write_tar(
        &self,
        py: Python<'_>,
        diff_id: &str,
        fd: i32,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let diff_id = diff_id_of(py, diff_id)?;
        let output = WritebackFile::new(descriptor::file(py, fd)?);
        let work = |job: &Job| {
            let mut output = Output::new(output, job);
            self.0.write_tar(&diff_id, &mut output, &job.cancel)
        };
        blocking::run(py, progress, work).map(drop)
    }

    #[pyo3(signature = (diff_id, codec, level, fd, progress = None))]
    fn export_blob(
        &self,
        py: Python<'_>,
        diff_id: &str,
        codec: &str,
        level: Option<i32>,
        fd: Option<i32>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<ExportedBlob> {
        let diff_id = diff_id_of(py, diff_id)?;
        let codec = Codec::parse(codec).map_err(|error| errors::convert(py, error))?;
        let mut output: Box<dyn Write + Send> = match fd {
            Some(fd) => Box::new(WritebackFile::new(descriptor::file(py, fd)?)),
            None => Box::new(std::io::sink()),
        };
        let exported = blocking::run(py, progress, |job| {
            let options = ExportOptions {
                level,
                cancel: Arc::clone(&job.cancel),
                ..ExportOptions::new(codec)
            };
            let size = self.0.layer(&diff_id)?.map_or(0, |info| info.size);
            job.progress.expect(size);
            let done = &mut |bytes| job.progress.set(bytes);
            self.0.export(&diff_id, &options, &mut output, done)
        })?;
        Ok(exported.into())
    }

    #[pyo3(signature = (diff_id, codec, level = None))]
    fn exported_blob(
        &self,
        py: Python<'_>,
        diff_id: &str,
        codec: &str,
        level: Option<i32>,
    ) -> PyResult<Option<ExportedBlob>> {
        let diff_id = diff_id_of(py, diff_id)?;
        let found = blocking::short(py, || {
            self.0.exported(&diff_id, Codec::parse(codec)?, level)
        })?;
        Ok(found.map(ExportedBlob::from))
    }

    fn trim_exports(&self, py: Python<'_>, budget: u64) -> PyResult<u64> {
        blocking::run(py, None, |_| self.0.trim_exports(budget))
    }

    #[pyo3(signature = (chain, destination, progress = None))]
    fn write_tree(
        &self,
        py: Python<'_>,
        chain: Vec<String>,
        destination: PathBuf,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let chain = chain_of(py, &chain)?;
        blocking::run(py, progress, |job| {
            let (cancel, done) = (&job.cancel, &job.progress);
            self.0.write_tree(&chain, &destination, cancel, done)
        })
    }

    #[pyo3(signature = (chain, fd, progress = None))]
    fn write_tree_tar(
        &self,
        py: Python<'_>,
        chain: Vec<String>,
        fd: i32,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let chain = chain_of(py, &chain)?;
        let mut output = descriptor::file(py, fd)?;
        let work = |job: &Job| {
            let (cancel, done) = (&job.cancel, &job.progress);
            self.0.write_tree_tar(&chain, &mut output, cancel, done)
        };
        blocking::run(py, progress, work).map(drop)
    }

    fn checkout(
        &self,
        py: Python<'_>,
        chain: Vec<String>,
    ) -> PyResult<(Vec<OsString>, Vec<OsString>)> {
        let chain = chain_of(py, &chain)?;
        let lowers = blocking::run(py, None, |job| self.0.checkout(&chain, &job.cancel))?;
        let names = |paths: Vec<PathBuf>| paths.into_iter().map(PathBuf::into_os_string).collect();
        Ok((names(lowers.directories), names(lowers.data)))
    }

    fn tree_id(&self, py: Python<'_>, chain: Vec<String>) -> PyResult<String> {
        let chain = chain_of(py, &chain)?;
        blocking::run(py, None, |_| self.0.tree_id(&chain)).map(|id| id.hex())
    }

    fn left_out(&self, py: Python<'_>, chain: Vec<String>) -> PyResult<(u64, u64, u64)> {
        let chain = chain_of(py, &chain)?;
        let found = blocking::run(py, None, |_| self.0.left_out(&chain))?;
        Ok((found.devices, found.owners, found.attributes))
    }

    fn copy_key(&self, py: Python<'_>, operation: &CopyOperation) -> PyResult<String> {
        let work = |job: &Job| self.0.copy_key(&operation.0, &options(job));
        blocking::run(py, None, work).map(|id| id.hex())
    }

    #[pyo3(signature = (chain, path, follow = true))]
    fn stat(
        &self,
        py: Python<'_>,
        chain: Vec<String>,
        path: Vec<u8>,
        follow: bool,
    ) -> PyResult<Option<Entry>> {
        let chain = chain_of(py, &chain)?;
        let found = blocking::short(py, || {
            let view = self.0.tree_view(&chain)?;
            let node = view.resolve(&path, follow)?.node;
            node.map(|node| entries::of_node(&node, None)).transpose()
        })?;
        Ok(found.map(Entry))
    }

    fn list(&self, py: Python<'_>, chain: Vec<String>, path: Vec<u8>) -> PyResult<Vec<Entry>> {
        let chain = chain_of(py, &chain)?;
        let found = blocking::short(py, || entries::children(&self.0.tree_view(&chain)?, &path))?;
        Ok(found.into_iter().map(Entry).collect())
    }

    fn walk(&self, py: Python<'_>, chain: Vec<String>) -> PyResult<Vec<Entry>> {
        let chain = chain_of(py, &chain)?;
        let found = blocking::run(py, None, |_| entries::walk(&self.0.tree_view(&chain)?))?;
        Ok(found.into_iter().map(Entry).collect())
    }

    fn layer_entries(&self, py: Python<'_>, diff_id: &str) -> PyResult<Vec<Entry>> {
        let diff_id = diff_id_of(py, diff_id)?;
        let found = blocking::run(py, None, |_| entries::of_layer(&self.0, &diff_id))?;
        Ok(found.into_iter().map(Entry).collect())
    }

    #[pyo3(signature = (chain, path, limit = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        chain: Vec<String>,
        path: Vec<u8>,
        limit: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let chain = chain_of(py, &chain)?;
        let data = blocking::run(py, None, |_| {
            let mut data = Vec::new();
            let more = limit.map(|limit| limit.saturating_add(1));
            let count = self.0.read_file(&chain, &path, more, &mut data)?;
            match limit {
                Some(limit) if count > limit => {
                    let shown = fastlayer_store::error::display_path(&path);
                    Err(fastlayer_store::Error::limit(
                        format!("size of {shown}"),
                        limit,
                    ))
                }
                _ => Ok(data),
            }
        })?;
        Ok(PyBytes::new(py, &data))
    }

    fn read_to(&self, py: Python<'_>, chain: Vec<String>, path: Vec<u8>, fd: i32) -> PyResult<()> {
        let chain = chain_of(py, &chain)?;
        let output = descriptor::file(py, fd)?;
        let work = |job: &Job| {
            let mut output = Output::new(output, job);
            self.0.read_file(&chain, &path, None, &mut output)
        };
        blocking::run(py, None, work).map(drop)
    }

    fn compare(
        &self,
        py: Python<'_>,
        before: Vec<String>,
        after: Vec<String>,
    ) -> PyResult<Vec<Change>> {
        let (before, after) = (chain_of(py, &before)?, chain_of(py, &after)?);
        let found = blocking::run(py, None, |_| {
            let views = (self.0.tree_view(&before)?, self.0.tree_view(&after)?);
            fastlayer_store::compare::compare(&views.0, &views.1)
        })?;
        Ok(found.into_iter().map(Change).collect())
    }

    fn changes(&self, py: Python<'_>, base: Vec<String>, upper: PathBuf) -> PyResult<Vec<Change>> {
        let base = chain_of(py, &base)?;
        let work = |job: &Job| self.0.changes(&base, &upper, &job.cancel);
        let found = blocking::run(py, None, work)?;
        Ok(found.into_iter().map(Change).collect())
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        blocking::run(py, None, |_| self.0.sync())
    }

    fn layers(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let found = blocking::short(py, || self.0.layers())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    fn lease(&self, py: Python<'_>) -> PyResult<Lease> {
        blocking::short(py, || self.0.lease()).map(Lease::from)
    }

    /// The one call whose worker attaches to the interpreter: `keep` must be asked while
    /// collection is at work, and the calling thread is detached meanwhile.
    fn usage(&self, py: Python<'_>, groups: Vec<Vec<String>>) -> PyResult<Usage> {
        let groups = groups
            .iter()
            .map(|digests| {
                Ok(Group {
                    layers: chain_of(py, digests)?,
                    blobs: digests
                        .iter()
                        .map(|text| digest_of(py, text))
                        .collect::<PyResult<_>>()?,
                })
            })
            .collect::<PyResult<Vec<Group>>>()?;
        blocking::run(py, None, |job| self.0.usage(&groups, &job.cancel)).map(Usage::from)
    }

    #[pyo3(signature = (keep, *, dry_run = false, forget_exports = false))]
    fn collect(
        &self,
        py: Python<'_>,
        keep: Py<PyAny>,
        dry_run: bool,
        forget_exports: bool,
    ) -> PyResult<Collected> {
        let mut raised = None;
        let roots = || {
            Python::attach(|py| asked(py, &keep, forget_exports)).map_err(|error| {
                raised = Some(error);
                fastlayer_store::Error::Interrupted
            })
        };
        let result = blocking::run(py, None, |job| {
            if dry_run {
                self.0.collectable(roots, &job.cancel)
            } else {
                self.0.collect(roots, &job.cancel)
            }
        });
        raised.map_or(result, Err).map(Collected::from)
    }

    fn has_whole_layer(&self, py: Python<'_>, diff_id: &str) -> PyResult<bool> {
        let diff_id = diff_id_of(py, diff_id)?;
        blocking::run(py, None, |_| self.0.has_whole_layer(&diff_id))
    }

    fn repair(&self, py: Python<'_>) -> PyResult<(Vec<Problem>, Vec<Problem>)> {
        let done = blocking::run(py, None, |job| self.0.repair(&job.cancel))?;
        let found = done.found.into_iter().map(Problem::from).collect();
        Ok((found, done.left.into_iter().map(Problem::from).collect()))
    }

    fn fsck(&self, py: Python<'_>, level: u32) -> PyResult<Vec<Problem>> {
        let found = blocking::run(py, None, |job| {
            let level = Level::from_number(level)?;
            self.0.fsck_to(level, &job.cancel, &mut |_| ())
        })?;
        Ok(found.into_iter().map(Problem::from).collect())
    }
}
