//! Writing a large file so that the disk works from its beginning on, and not only when somebody
//! waits for it.
//!
//! The bytes written are the same; nothing is made durable. It knows nothing of what they are.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;

/// Bytes after which the kernel is told to write what is there.
const STRETCH: u64 = 8 << 20;
/// `SYNC_FILE_RANGE_WRITE`: begin, and do not wait.
const BEGIN: c_uint = 2;

/// A file that is written from its present position on.
#[derive(Debug)]
pub struct WritebackFile {
    file: File,
    /// Where the next byte goes; `None` for what is no regular file.
    position: Option<u64>,
    /// What lies before it is being written.
    begun: u64,
}

impl WritebackFile {
    /// Wraps `file`; one that cannot seek is only passed through.
    pub fn new(mut file: File) -> Self {
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let position = is_regular.then(|| file.stream_position().ok()).flatten();
        Self {
            file,
            position,
            begun: position.unwrap_or(0),
        }
    }

    fn advance(&mut self, count: usize) {
        let Some(position) = &mut self.position else {
            return;
        };
        *position += count as u64;
        if *position - self.begun >= STRETCH {
            begin(&self.file, self.begun, *position - self.begun);
            self.begun = *position;
        }
    }
}

impl Write for WritebackFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.advance(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A hint: where it fails, the kernel writes the bytes when it likes.
fn begin(file: &File, offset: u64, length: u64) {
    // SAFETY: this is how the C library, which the standard library links, declares it.
    unsafe extern "C" {
        fn sync_file_range(descriptor: c_int, offset: i64, length: i64, flags: c_uint) -> c_int;
    }
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return;
    };
    // SAFETY: the descriptor is open as long as `file`, and no memory is passed.
    unsafe {
        sync_file_range(file.as_raw_fd(), offset, length, BEGIN);
    }
}
