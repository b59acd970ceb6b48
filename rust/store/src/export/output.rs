//! Where a blob goes: counted, hashed by a thread of its own, and past what is there already.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use sha2::{Digest as _, Sha256};

use crate::digest::BlobDigest;
use crate::error::{Error, Result};

/// Pieces that wait to be hashed.
const QUEUE: usize = 4;

/// The output of one export.
pub(super) struct BlobOutput<'a> {
    inner: &'a mut dyn Write,
    /// Bytes that an attempt before this one has written.
    skip: u64,
    size: u64,
    pieces: SyncSender<Arc<Vec<u8>>>,
    hasher: JoinHandle<BlobDigest>,
}

impl<'a> BlobOutput<'a> {
    /// An output that has the blob's first `skip` bytes already.
    pub(super) fn new(inner: &'a mut dyn Write, skip: u64) -> Result<Self> {
        let (pieces, queue) = sync_channel::<Arc<Vec<u8>>>(QUEUE);
        let hash = move || {
            let mut sha256 = Sha256::new();
            for piece in queue {
                sha256.update(piece.as_slice());
            }
            BlobDigest::from_bytes(sha256.finalize().into())
        };
        let hasher = Builder::new()
            .name("fastlayer-sha256".to_owned())
            .spawn(hash)
            .map_err(|source| Error::io("cannot start a thread", source))?;
        Ok(Self {
            inner,
            skip,
            size: 0,
            pieces,
            hasher,
        })
    }

    /// Bytes of the blob so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds the next bytes of the blob.
    pub(super) fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        let bytes = Arc::new(bytes);
        // A thread that is gone is told of in `finish`.
        let _ = self.pieces.send(Arc::clone(&bytes));
        let known = self.skip.saturating_sub(self.size);
        let known = usize::try_from(known).map_or(bytes.len(), |known| known.min(bytes.len()));
        self.size += bytes.len() as u64;
        write_all(self.inner, &bytes[known..])
    }

    /// The blob's digest and size.
    pub(super) fn finish(self) -> Result<(BlobDigest, u64)> {
        drop(self.pieces);
        match self.hasher.join() {
            Ok(digest) => Ok((digest, self.size)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Writes bytes of a blob.
pub(super) fn write_all(output: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    output
        .write_all(bytes)
        .map_err(|source| Error::io("cannot write the blob", source))
}
