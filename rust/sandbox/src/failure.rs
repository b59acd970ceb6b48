//! Why a process could not be started, in the form in which it crosses from process to process.

use std::path::Path;

use rustix::io::Errno;

/// The exit code of a start that failed for a reason outside the program.
pub const NOT_STARTED: u8 = 125;
/// The exit code where the program is there and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The exit code where there is no such program.
pub const NOT_FOUND: u8 = 127;

/// Why a process could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Docker's exit code for the reason.
    pub exit_code: u8,
    /// One line without a final period.
    pub message: String,
}

impl Failure {
    /// A failure outside the program.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            exit_code: NOT_STARTED,
            message: message.into(),
        }
    }

    /// A system call failed.
    pub(crate) fn of(operation: &str, path: impl AsRef<Path>, errno: Errno) -> Self {
        let path = path.as_ref().display();
        Self::new(format!("cannot {operation} {path}: {errno}"))
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<fastlayer_fs::Error> for Failure {
    fn from(error: fastlayer_fs::Error) -> Self {
        Self::new(error.to_string())
    }
}
