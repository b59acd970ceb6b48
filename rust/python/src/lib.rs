//! `fastlayer._core`: the Rust core as Python sees it.
//!
//! No logic is here: values are converted, the interpreter is detached, errors are mapped. Large
//! data never crosses: paths, file descriptors, small bytes and frozen results do.

#![forbid(unsafe_code)]

pub mod blocking;
pub mod context;
pub mod copy;
pub mod descriptor;
pub mod entries;
pub mod errors;
pub mod lease;
pub mod namespace;
pub mod plain_tree;
pub mod removal;
pub mod sandbox;
pub mod store;
pub mod values;

use std::collections::BTreeMap;

use pyo3::prelude::*;

/// What this build of the core is.
#[pyfunction]
fn build_info() -> BTreeMap<&'static str, &'static str> {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    BTreeMap::from([
        ("version", env!("CARGO_PKG_VERSION")),
        ("profile", profile),
        ("architecture", std::env::consts::ARCH),
    ])
}

/// The module.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::build_info;
    #[pymodule_export]
    use super::context::Context;
    #[pymodule_export]
    use super::copy::{CopyOperation, CopySource};
    #[pymodule_export]
    use super::lease::Lease;
    #[pymodule_export]
    use super::namespace::MountNamespace;
    #[pymodule_export]
    use super::plain_tree::PlainTree;
    #[pymodule_export]
    use super::removal::{disk_usage, remove_tree};
    #[pymodule_export]
    use super::sandbox::{enter_user_namespace, serve_sandbox};
    #[pymodule_export]
    use super::store::Store;
    #[pymodule_export]
    use super::values::{
        Change, Collected, Entry, ExportedBlob, GroupUsage, LayerInfo, Problem, Usage,
    };

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name is Python's")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
