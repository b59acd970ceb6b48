//! A lease, which Python holds by an object and lets go of by a call.

use std::sync::{Mutex, PoisonError};

use fastlayer_store::Lease as StoreLease;
use pyo3::prelude::*;

/// Keeps what is used and made from being collected until it is released.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Lease(Mutex<Option<StoreLease>>);

impl From<StoreLease> for Lease {
    fn from(lease: StoreLease) -> Self {
        Self(Mutex::new(Some(lease)))
    }
}

#[pymethods]
impl Lease {
    fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
