//! A file mapped into memory for reading.
//!
//! For files of our own that are never written or cut after they got their name. A file of
//! somebody else's must be read instead: cutting a mapped file kills the process that looks at it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::path::Path;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::error::{Error, Result};
use crate::metadata::Metadata;

/// A whole file in memory; reads like `&[u8]`.
#[derive(Debug)]
pub struct Map {
    /// `None` for an empty file, which cannot be mapped.
    start: Option<NonNull<c_void>>,
    length: usize,
}

impl Map {
    /// Maps the open file; `path` is for messages. The descriptor may be closed afterwards.
    pub fn of(file: impl AsFd, path: &Path) -> Result<Self> {
        let failed = |errno| Error::new("map", path, errno);
        let size = Metadata::of(&file).map_err(failed)?.size;
        let length = usize::try_from(size).map_err(|_| failed(rustix::io::Errno::FBIG))?;
        if length == 0 {
            return Ok(Self {
                start: None,
                length: 0,
            });
        }
        // SAFETY: the kernel chooses a fresh range that nothing else refers to, and it stays
        // mapped until `drop`. It is read-only and private.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                file,
                0,
            )
        }
        .map_err(failed)?;
        Ok(Self {
            start: NonNull::new(start),
            length,
        })
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.start {
            None => &[],
            // SAFETY: `start` and `length` are of one live mapping, readable as bytes; nobody in
            // this process can write to it. The module's contract keeps other writers away.
            Some(start) => unsafe {
                std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), self.length)
            },
        }
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: the range came from `mmap` in `of`, and no slice outlives `self`.
            let _ = unsafe { munmap(start.as_ptr(), self.length) };
        }
    }
}

// SAFETY: the memory is read-only and owned by the value, so threads may share and pass it.
unsafe impl Send for Map {}
// SAFETY: as for `Send`: no method changes anything.
unsafe impl Sync for Map {}
