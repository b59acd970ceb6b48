//! Frozen results: what the store says, as Python objects with plain fields.

use std::collections::BTreeMap;

use fastlayer_store::Problem as StoreProblem;
use fastlayer_store::compare::{Change as StoreChange, ChangeKind};
use fastlayer_store::index::Kind;
use fastlayer_store::usage::{GroupUsage as StoreGroupUsage, Usage as StoreUsage};
use fastlayer_store::{
    Collected as StoreCollected, ExportedBlob as StoreExportedBlob, LayerInfo as StoreLayerInfo,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// What is known of a stored layer.
#[pyclass(frozen, get_all, module = "fastlayer._core")]
#[derive(Debug)]
pub struct LayerInfo {
    diff_id: String,
    size: u64,
    content_size: u64,
    entries: u64,
    raw_reason: Option<String>,
    added_bytes: u64,
}

impl From<StoreLayerInfo> for LayerInfo {
    fn from(info: StoreLayerInfo) -> Self {
        Self {
            diff_id: info.diff_id.to_string(),
            size: info.size,
            content_size: info.content_size,
            entries: info.entries,
            raw_reason: info.raw_reason,
            added_bytes: info.added_bytes,
        }
    }
}

/// What an export gave, or will give.
#[pyclass(frozen, get_all, module = "fastlayer._core")]
#[derive(Debug)]
pub struct ExportedBlob {
    digest: String,
    size: u64,
    annotations: BTreeMap<String, String>,
}

impl From<StoreExportedBlob> for ExportedBlob {
    fn from(blob: StoreExportedBlob) -> Self {
        Self {
            digest: blob.digest.to_string(),
            size: blob.size,
            annotations: blob.annotations,
        }
    }
}

/// What a collection removed, or would remove.
#[pyclass(frozen, get_all, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Collected {
    freed: u64,
    layers: Vec<String>,
    blobs: Vec<String>,
    objects: u64,
    segments: u64,
    postponed: bool,
}

impl From<StoreCollected> for Collected {
    fn from(found: StoreCollected) -> Self {
        Self {
            freed: found.freed,
            layers: found.layers.iter().map(ToString::to_string).collect(),
            blobs: found.blobs.iter().map(ToString::to_string).collect(),
            objects: found.objects,
            segments: found.segments,
            postponed: found.postponed,
        }
    }
}

/// The disk that one group uses, in bytes.
#[pyclass(frozen, get_all, skip_from_py_object, module = "fastlayer._core")]
#[derive(Clone, Copy, Debug)]
pub struct GroupUsage {
    unique: u64,
    shared: u64,
    added: u64,
    derived: u64,
    exports: u64,
}

impl From<StoreGroupUsage> for GroupUsage {
    fn from(usage: StoreGroupUsage) -> Self {
        Self {
            unique: usage.unique,
            shared: usage.shared,
            added: usage.added,
            derived: usage.derived,
            exports: usage.exports,
        }
    }
}

/// The disk that a store uses, in bytes.
#[pyclass(frozen, get_all, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Usage {
    total: u64,
    unused: u64,
    places: BTreeMap<String, u64>,
    groups: Vec<GroupUsage>,
}

impl From<StoreUsage> for Usage {
    fn from(usage: StoreUsage) -> Self {
        Self {
            total: usage.total,
            unused: usage.unused,
            places: usage.places,
            groups: usage.groups.iter().copied().map(GroupUsage::from).collect(),
        }
    }
}

#[pymethods]
impl LayerInfo {
    fn __repr__(&self) -> String {
        format!("LayerInfo(diff_id='{}', size={})", self.diff_id, self.size)
    }
}

/// One path of a tree, before it is a Python object: plain data, so that it can be gathered
/// without the interpreter lock.
#[derive(Debug)]
pub struct EntryFields {
    /// Path without leading slash.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of content.
    pub size: u64,
    /// Symlink target.
    pub link: Vec<u8>,
    /// First path of the hardlink group.
    pub hardlink: Vec<u8>,
    /// Device numbers.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Content id in hexadecimal digits.
    pub content: String,
}

/// One path of a tree.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Entry(pub EntryFields);

#[pymethods]
impl Entry {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.path)
    }
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            Kind::File | Kind::LowerLink => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
            Kind::CharDevice => "char",
            Kind::BlockDevice => "block",
            Kind::Fifo => "fifo",
            Kind::Whiteout => "whiteout",
        }
    }
    #[getter]
    fn mode(&self) -> u32 {
        self.0.mode
    }
    #[getter]
    fn uid(&self) -> u32 {
        self.0.owner.0
    }
    #[getter]
    fn gid(&self) -> u32 {
        self.0.owner.1
    }
    #[getter]
    fn mtime(&self) -> (i64, u32) {
        self.0.mtime
    }
    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }
    #[getter]
    fn link<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.link)
    }
    #[getter]
    fn hardlink<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.hardlink)
    }
    #[getter]
    fn device(&self) -> (u32, u32) {
        self.0.device
    }
    #[getter]
    fn xattrs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let attributes = PyDict::new(py);
        for (name, value) in &self.0.xattrs {
            attributes.set_item(PyBytes::new(py, name), PyBytes::new(py, value))?;
        }
        Ok(attributes)
    }
    #[getter]
    fn content(&self) -> &str {
        &self.0.content
    }
    fn __repr__(&self) -> String {
        let path = fastlayer_store::error::display_path(&self.0.path);
        format!("Entry('{path}', {})", self.kind())
    }
}

/// One difference of two trees.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Change(pub StoreChange);

#[pymethods]
impl Change {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            ChangeKind::Added => "A",
            ChangeKind::Changed => "C",
            ChangeKind::Deleted => "D",
        }
    }
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.path)
    }
    #[getter]
    fn reasons<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let words = self.0.reasons.iter().map(|reason| reason.as_str());
        pyo3::types::PyTuple::new(py, words.collect::<Vec<_>>())
    }
    fn __repr__(&self) -> String {
        let path = fastlayer_store::error::display_path(&self.0.path);
        format!("Change('{}', '{path}')", self.kind())
    }
}

/// One finding of fsck.
#[pyclass(frozen, get_all, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Problem {
    /// The kind of thing.
    pub what: String,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

impl From<StoreProblem> for Problem {
    fn from(problem: StoreProblem) -> Self {
        Self {
            what: problem.what.to_owned(),
            name: problem.name,
            detail: problem.detail,
        }
    }
}

#[pymethods]
impl Problem {
    fn __repr__(&self) -> String {
        format!("Problem({} {}: {})", self.what, self.name, self.detail)
    }
}
