//! Mounts that die with the process.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use fastlayer_sandbox::{Error as SandboxError, Overlay, Program, Upper, read_through};
use fastlayer_store::Trial;
use pyo3::prelude::*;

use crate::descriptor::duplicate;
use crate::errors;

/// A thread of this process in a mount namespace of its own.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct MountNamespace(fastlayer_sandbox::MountNamespace);

/// What the kernel gives where the upper's file system lacks something, and writes nothing else.
const EINVAL: i32 = 22;

/// Tries a store's trial mount out.
pub fn try_mount(trial: &Trial) -> Option<Vec<u8>> {
    let overlay = Overlay {
        lowers: trial.lowers.directories.clone(),
        data: trial.lowers.data.clone(),
        upper: Some(Upper {
            directory: trial.upper.clone(),
            work: trial.work.clone(),
        }),
        volatile: true,
    };
    read_through(overlay, &trial.target, trial.file, trial.mode).ok()
}

fn convert(py: Python<'_>, error: SandboxError) -> PyErr {
    let message = error.to_string();
    let refused = message.starts_with("cannot mount an overlay") && error.errno() == Some(EINVAL);
    // What the kernel writes where the upper is on overlay, or has no extended attributes.
    if refused || message.contains("not supported as upperdir") {
        let hint = "the store's file system cannot hold writable layers: name a store on ext4, \
                    XFS, btrfs or tmpfs with --root";
        return errors::io_with_hint(py, &message, error.errno(), Some(hint));
    }
    errors::io(py, &message, error.errno())
}

#[pymethods]
impl MountNamespace {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        py.detach(fastlayer_sandbox::MountNamespace::new)
            .map(Self)
            .map_err(|error| convert(py, error))
    }

    #[pyo3(signature = (lowers, data, upper, target, *, volatile))]
    fn mount_overlay(
        &self,
        py: Python<'_>,
        lowers: Vec<PathBuf>,
        data: Vec<PathBuf>,
        upper: Option<(PathBuf, PathBuf)>,
        target: PathBuf,
        volatile: bool,
    ) -> PyResult<()> {
        let overlay = Overlay {
            lowers,
            data,
            upper: upper.map(|(directory, work)| Upper { directory, work }),
            volatile,
        };
        py.detach(|| self.0.mount_overlay(overlay, &target))
            .map_err(|error| convert(py, error))
    }

    fn unmount(&self, py: Python<'_>, target: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.unmount(&target))
            .map_err(|error| convert(py, error))
    }

    #[pyo3(signature = (argv, *, env, cwd, stdin, stdout, stderr))]
    #[expect(clippy::too_many_arguments, reason = "a process has as many parts")]
    fn spawn(
        &self,
        py: Python<'_>,
        argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
        cwd: PathBuf,
        stdin: i32,
        stdout: i32,
        stderr: i32,
    ) -> PyResult<u32> {
        let streams = [stdin, stdout, stderr]
            .into_iter()
            .map(|number| duplicate(py, number))
            .collect::<PyResult<Vec<OwnedFd>>>()?;
        let program = Program {
            arguments: argv.into_iter().map(OsString::from_vec).collect(),
            environment: env.into_iter().filter_map(variable).collect(),
            directory: cwd,
            stdin: borrow(&streams[0]),
            stdout: borrow(&streams[1]),
            stderr: borrow(&streams[2]),
            pass: Vec::new(),
        };
        py.detach(|| self.0.spawn(&program))
            .map_err(|error| convert(py, error))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

fn borrow(stream: &OwnedFd) -> BorrowedFd<'_> {
    use std::os::fd::AsFd;
    stream.as_fd()
}

/// Splits `NAME=value`; a text without `=` is no variable.
fn variable(mut text: Vec<u8>) -> Option<(OsString, OsString)> {
    let position = text.iter().position(|byte| *byte == b'=')?;
    let value = text.split_off(position + 1);
    text.pop();
    Some((OsString::from_vec(text), OsString::from_vec(value)))
}
