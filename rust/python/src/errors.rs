//! The one place where a Rust error becomes a Python exception of `fastlayer.errors`.
//!
//! Every kind of error has its class and, where there is something to do, a hint. The classes are
//! defined in Python (a native subclass of an exception needs a newer limited API).

use fastlayer_store::Error;
use pyo3::prelude::*;
use pyo3::types::PyDict;

const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;
const EDQUOT: i32 = 122;
const EACCES: i32 = 13;
const EPERM: i32 = 1;

/// What can be done about a limit: that of `LimitError`.
const LIMIT_HINT: &str = "make it smaller or split it up; docs/reliability.md lists the limits";

/// The exception for an error of the store.
pub fn convert(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { source, .. } => io(py, &message, source.raw_os_error()),
        Error::NotFound { .. } => make(py, "NotFoundError", &message, None, None),
        Error::Corrupt { .. } => make(
            py,
            "CorruptError",
            &message,
            Some("fastlayer fsck lists what is damaged"),
            None,
        ),
        Error::DigestMismatch { .. } => make(
            py,
            "CorruptError",
            &message,
            Some("the source is damaged or was changed: fetch it again"),
            None,
        ),
        Error::TarFormat { offset, .. } => make(
            py,
            "TarFormatError",
            &message,
            Some("the archive is damaged, truncated or not a tar: make or fetch it again"),
            Some(("offset", offset.into_pyobject(py).map(Bound::into_any).ok())),
        ),
        Error::Raw { .. } => make(
            py,
            "RawLayerError",
            &message,
            Some("save and push of the image work; build its layers anew to run it"),
            None,
        ),
        Error::NoContents { .. } => {
            make(py, "UsageError", &message, Some("compress with zstd"), None)
        }
        Error::UnsafePath { .. } => make(py, "UnsafePathError", &message, None, None),
        Error::Limit { .. } => make(py, "LimitError", &message, Some(LIMIT_HINT), None),
        Error::Format { .. } => make(py, "StoreFormatError", &message, None, None),
        Error::Version { found, known, .. } => {
            let hint = if found > known {
                "use the newer fastlayer that wrote it, or another store (--root)"
            } else {
                "save its images with the older fastlayer that wrote it, and load them into a new \
                 store (--root)"
            };
            make(py, "StoreFormatError", &message, Some(hint), None)
        }
        Error::Conflict { .. } => make(py, "ConflictError", &message, None, None),
        Error::Interrupted => make(py, "Interrupted", &message, None, None),
        Error::Source { ref detail, .. } => {
            make(py, "ContextError", &message, source_hint(detail), None)
        }
        _ => make(py, "StoreError", &message, None, None),
    }
}

fn source_hint(detail: &str) -> Option<&'static str> {
    if detail.contains("build context") {
        Some("sources are looked for in the build context, less what its .dockerignore leaves out")
    } else if detail.ends_with("permission denied") {
        Some("make it readable, or leave it out with .dockerignore")
    } else if detail.contains(" is over the limit of ") {
        Some(LIMIT_HINT)
    } else if detail.contains("changed") {
        Some("run the command again when nothing writes to it")
    } else {
        None
    }
}

/// The exception for a bug of ours.
pub fn internal(py: Python<'_>, message: &str) -> PyErr {
    let hint = "this is a bug in fastlayer: please report it";
    make(py, "InternalError", message, Some(hint), None)
}

/// The exception for arguments that do not fit.
pub fn usage(py: Python<'_>, message: &str) -> PyErr {
    make(py, "UsageError", message, None, None)
}

/// The exception for a failed system call.
pub fn io(py: Python<'_>, message: &str, errno: Option<i32>) -> PyErr {
    let hint = match errno {
        Some(ENOSPC | EDQUOT) => Some(
            "free space on the store's file system (fastlayer builder prune, rmi), or name \
             another store with --root",
        ),
        Some(ENOSYS | EOPNOTSUPP) => Some(
            "the file system lacks what layers need: name a store on ext4, XFS, btrfs or tmpfs \
             with --root",
        ),
        Some(EROFS) => Some("the file system is read-only: name another store with --root"),
        Some(EACCES | EPERM) => {
            Some("run as the store's owner, or name a store of your own with --root")
        }
        _ => None,
    };
    io_with_hint(py, message, errno, hint)
}

/// As [`io`], where more is known than the number.
pub fn io_with_hint(
    py: Python<'_>,
    message: &str,
    errno: Option<i32>,
    hint: Option<&str>,
) -> PyErr {
    let attribute = errno.map(|number| {
        let value = number.into_pyobject(py).map(Bound::into_any).ok();
        ("errno", value)
    });
    make(py, "StoreIOError", message, hint, attribute)
}

fn make(
    py: Python<'_>,
    class: &str,
    message: &str,
    hint: Option<&str>,
    attribute: Option<(&str, Option<Bound<'_, PyAny>>)>,
) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let kind = py.import("fastlayer.errors")?.getattr(class)?;
        let arguments = PyDict::new(py);
        arguments.set_item("hint", hint)?;
        if let Some((name, Some(value))) = attribute {
            arguments.set_item(name, value)?;
        }
        Ok(PyErr::from_value(kind.call((message,), Some(&arguments))?))
    };
    build().unwrap_or_else(|error| error)
}
