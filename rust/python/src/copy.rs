//! COPY and ADD as values.

use std::path::PathBuf;
use std::sync::Arc;

use fastlayer_store::copy::{
    CopyOperation as StoreOperation, CopySource as StoreSource, ModeChange,
};
use pyo3::prelude::*;

use crate::context::Context;
use crate::errors;
use crate::store::chain_of;

/// One source of a COPY or ADD.
#[pyclass(frozen, from_py_object, module = "fastlayer._core")]
#[derive(Clone, Debug)]
pub struct CopySource(StoreSource);

#[pymethods]
impl CopySource {
    #[staticmethod]
    fn context(context: &Context, pattern: Vec<u8>) -> Self {
        Self(StoreSource::Context {
            context: Arc::clone(&context.inner),
            pattern,
        })
    }

    #[staticmethod]
    fn tree(py: Python<'_>, chain: Vec<String>, pattern: Vec<u8>) -> PyResult<Self> {
        let chain = chain_of(py, &chain)?;
        Ok(Self(StoreSource::Tree { chain, pattern }))
    }

    #[staticmethod]
    #[pyo3(signature = (name, content, mode = 0o644))]
    fn inline(name: Vec<u8>, content: Vec<u8>, mode: u32) -> Self {
        Self(StoreSource::Inline {
            name,
            content: content.into(),
            mode,
        })
    }

    #[staticmethod]
    #[pyo3(signature = (path, name, mode, mtime, unpack = false))]
    fn file(path: PathBuf, name: Vec<u8>, mode: u32, mtime: i64, unpack: bool) -> Self {
        Self(StoreSource::File {
            path,
            name,
            mode,
            mtime,
            unpack,
        })
    }
}

/// A whole COPY or ADD instruction.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct CopyOperation(pub StoreOperation);

#[pymethods]
impl CopyOperation {
    #[new]
    #[pyo3(signature = (sources, destination, *, owner = None, mode = None, exclude = Vec::new(),
        parents = false, unpack = false, link = false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "an instruction has as many flags"
    )]
    fn new(
        py: Python<'_>,
        sources: Vec<CopySource>,
        destination: Vec<u8>,
        owner: Option<(u32, u32)>,
        mode: Option<&str>,
        exclude: Vec<String>,
        parents: bool,
        unpack: bool,
        link: bool,
    ) -> PyResult<Self> {
        let mode = mode
            .map(ModeChange::parse)
            .transpose()
            .map_err(|error| errors::convert(py, error))?;
        Ok(Self(StoreOperation {
            sources: sources.into_iter().map(|source| source.0).collect(),
            destination,
            owner,
            mode,
            exclude: exclude.into_iter().map(String::into_bytes).collect(),
            parents,
            unpack,
            link,
        }))
    }
}
