//! Descriptors that another language hands over as plain numbers.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::error::{Error, Result};

/// Lowest number of a duplicate: never one of the three standard streams.
const FIRST_FREE: RawFd = 3;

/// A duplicate, closed on exec, of the descriptor with this number.
///
/// # Errors
/// When no descriptor has that number, or there are too many.
pub fn duplicate(number: RawFd) -> Result<OwnedFd> {
    let failed = |errno| Error::new("duplicate", format!("descriptor {number}"), errno);
    if number < 0 {
        return Err(failed(Errno::BADF));
    }
    // SAFETY: the number is not -1 and is borrowed for one system call only, which itself says
    // whether it names an open descriptor.
    let lent = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_dupfd_cloexec(lent, FIRST_FREE).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_is_refused() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(1_000_000).is_err());
        assert!(duplicate(0).is_ok() || duplicate(1).is_ok());
    }
}
