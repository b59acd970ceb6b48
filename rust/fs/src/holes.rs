//! Where a sparse file has data, so that its holes need not be read.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The first range with data at or after `offset` in a file of `size` bytes; what lies between
/// `offset` and its start reads as zeros. `None` when only zeros are left. Moves the read
/// position. On a file system that does not tell, everything is data.
pub fn next_data(fd: impl AsFd, offset: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    if offset >= size {
        return Ok(None);
    }
    let start = match seek(&fd, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(offset..size)),
        Err(errno) => return Err(errno.into()),
    };
    if start >= size {
        return Ok(None);
    }
    let end = match seek(&fd, SeekFrom::Hole(start)) {
        Ok(end) => end.min(size),
        Err(Errno::NXIO) => size,
        Err(errno) => return Err(errno.into()),
    };
    Ok(Some(start..end))
}
