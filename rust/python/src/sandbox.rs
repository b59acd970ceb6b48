//! The entries of the child that starts processes, and of user namespaces.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::descriptor::duplicate;
use crate::errors;

/// Serves a sandbox's requests over a socket until it ends.
#[pyfunction]
pub fn serve_sandbox(py: Python<'_>, socket: i32) -> PyResult<()> {
    let socket = duplicate(py, socket)?;
    // Other threads there are none, so the interpreter need not be let go of.
    fastlayer_sandbox::serve(&socket)
        .map_err(|error| errors::io(py, &error.to_string(), error.errno()))
}

/// Moves this process, which must have one thread, into a new user namespace without maps.
#[pyfunction]
pub fn enter_user_namespace() -> PyResult<()> {
    fastlayer_sandbox::namespaces::enter_user_namespace()
        .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))
}
