//! A compressed layer blob kept as it came in, beside the layer that is made of it.
//!
//! What is not compressed is not kept: the layer gives the same bytes back.

use std::io::{self, Read, Write};

use fastlayer_fs::TemporaryFile;
use fastlayer_fs::sync::fsync_dir;

use crate::decompress::{Compression, HEAD};
use crate::digest::BlobDigest;
use crate::error::{Error, Result};
use crate::store::Store;

/// Passes on what it reads, and writes it to a file that has no name yet.
pub(crate) struct KeepingReader<'store, R> {
    inner: R,
    state: State<'store>,
}

enum State<'store> {
    /// Not enough was read to tell whether it is compressed.
    Beginning(&'store Store, Vec<u8>),
    Keeping(TemporaryFile<'store>),
    Passing,
}

impl<'store, R: Read> KeepingReader<'store, R> {
    /// With `store` absent it only passes on.
    pub(crate) fn new(inner: R, store: Option<&'store Store>) -> Self {
        let state = store.map_or(State::Passing, |store| State::Beginning(store, Vec::new()));
        Self { inner, state }
    }

    /// What was kept, once all was read.
    pub(crate) fn finish(self) -> Option<KeptBlob<'store>> {
        match self.state {
            State::Keeping(file) => Some(KeptBlob { file }),
            State::Beginning(..) | State::Passing => None,
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Passing => Ok(()),
            State::Keeping(file) => file.file_mut().write_all(bytes),
            State::Beginning(store, head) => {
                head.extend_from_slice(bytes);
                if head.len() < HEAD {
                    return Ok(());
                }
                if Compression::detect(head) == Compression::None {
                    self.state = State::Passing;
                    return Ok(());
                }
                let mut file =
                    TemporaryFile::new_in(store.blobs(), 0o400).map_err(io::Error::other)?;
                file.file_mut().write_all(head)?;
                self.state = State::Keeping(file);
                Ok(())
            }
        }
    }
}

impl<R: Read> Read for KeepingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.keep(&buffer[..count])?;
        Ok(count)
    }
}

/// A blob that is written, but not visible.
pub(crate) struct KeptBlob<'store> {
    file: TemporaryFile<'store>,
}

impl KeptBlob<'_> {
    /// Gives it its name, durably: `digest` must be that of the bytes.
    pub(crate) fn publish(self, store: &Store, digest: &BlobDigest) -> Result<()> {
        let failed = |source| Error::io(format!("cannot write blob {digest}"), source);
        let synced = self.file.file().sync_all();
        synced.map_err(|source| store.lost_writes(failed(source)))?;
        store.name_blob(digest)?;
        if store.distrusts() {
            store.clear_blob(digest)?;
        }
        self.file.publish(store.blobs(), digest.hex().as_bytes())?;
        fsync_dir(store.blobs())?;
        Ok(())
    }
}
