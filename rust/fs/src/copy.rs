//! Copying a file's content in the cheapest way the file systems allow.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::fs::{copy_file_range, ioctl_ficlone};
use rustix::io::Errno;

/// Bytes asked of `copy_file_range` at a time: often enough to notice an interrupt.
const RANGE: usize = 16 * 1024 * 1024;

/// Bytes read and written at a time where the kernel cannot copy.
const BUFFER: usize = 256 * 1024;

/// Makes `destination` share the blocks of `source`. False where the file system cannot.
pub fn reflink(source: impl AsFd, destination: impl AsFd) -> io::Result<bool> {
    match ioctl_ficlone(destination, source) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV | Errno::NOSYS) => {
            Ok(false)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Copies the content of `source` from its read position to its end to the write position of
/// `destination`; gives the number of bytes.
pub fn copy_all(source: &File, destination: &File) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        match copy_file_range(source, None, destination, None, RANGE) {
            Ok(0) if copied > 0 => return Ok(copied),
            // Some special file systems say 0 although there is something: a read is the truth.
            Ok(0) => return copy_by_reading(source, destination),
            Ok(length) => copied += length as u64,
            Err(Errno::INTR) => {}
            Err(errno) if copied == 0 && is_unsupported(errno) => {
                return copy_by_reading(source, destination);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A reflink if possible, else a copy: the whole of `source`, read from its start, into the empty
/// file `destination`.
pub fn clone_or_copy(source: &File, destination: &File) -> io::Result<()> {
    if !reflink(source, destination)? {
        copy_all(source, destination)?;
    }
    Ok(())
}

fn is_unsupported(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::OPNOTSUPP | Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::BADF
    )
}

fn copy_by_reading(mut source: &File, mut destination: &File) -> io::Result<u64> {
    let mut buffer = vec![0_u8; BUFFER];
    let mut copied = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => {
                destination.write_all(&buffer[..length])?;
                copied += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
