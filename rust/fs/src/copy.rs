//! Copying a file's content in the cheapest way the file systems allow.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{copy_file_range, ioctl_ficlone};
use rustix::io::Errno;

use crate::holes::next_data;

/// Bytes asked of `copy_file_range` at a time: often enough to notice an interrupt.
const RANGE: usize = 16 * 1024 * 1024;

/// Bytes read and written at a time where the kernel cannot copy.
const BUFFER: usize = 256 * 1024;

/// Bytes that one of a file's blocks stands for, whatever the file system (`st_blocks`).
const UNIT_OF_BLOCKS: u64 = 512;

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
/// file `destination`. Its holes stay holes: a file of a terabyte may have a few blocks.
pub fn clone_or_copy(source: &File, destination: &File) -> io::Result<()> {
    if reflink(source, destination)? {
        return Ok(());
    }
    copy_whole(source, destination)
}

/// Copies the whole of `source`, read from its start, into the empty file `destination`; what is a
/// hole in one is a hole in the other.
pub fn copy_whole(source: &File, destination: &File) -> io::Result<()> {
    let metadata = source.metadata()?;
    if metadata.blocks() * UNIT_OF_BLOCKS >= metadata.len() {
        copy_all(source, destination)?;
        return Ok(());
    }
    let mut end = 0;
    while let Some(range) = next_data(source, end, metadata.len())? {
        end = range.end;
        copy_range(source, destination, range)?;
    }
    destination.set_len(metadata.len())
}

/// Copies a range of the source to the same place of the destination.
fn copy_range(source: &File, destination: &File, range: Range<u64>) -> io::Result<()> {
    let (mut from, mut to) = (range.start, range.start);
    while from < range.end {
        let length = usize::try_from(range.end - from).map_or(RANGE, |left| left.min(RANGE));
        match copy_file_range(source, Some(&mut from), destination, Some(&mut to), length) {
            // What is missing was cut off meanwhile, or cannot be copied so: a read tells.
            Ok(0) => return copy_range_by_reading(source, destination, from..range.end),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) if is_unsupported(errno) => {
                return copy_range_by_reading(source, destination, from..range.end);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn copy_range_by_reading(
    source: &File,
    destination: &File,
    mut range: Range<u64>,
) -> io::Result<()> {
    let mut buffer = vec![0_u8; BUFFER];
    while range.start < range.end {
        let left = usize::try_from(range.end - range.start).unwrap_or(BUFFER);
        let wanted = left.min(BUFFER);
        match source.read_at(&mut buffer[..wanted], range.start) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                destination.write_all_at(&buffer[..length], range.start)?;
                range.start += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
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
