//! SHA-256 of bytes on their way through a writer or a reader.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::digest::BlobDigest;

/// Hashes and counts what is written through it.
pub(crate) struct HashingWriter<W> {
    inner: W,
    sha256: Sha256,
    count: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            count: 0,
        }
    }

    /// The digest and the number of the bytes written.
    pub(crate) fn finish(self) -> (BlobDigest, u64) {
        (
            BlobDigest::from_bytes(self.sha256.finalize().into()),
            self.count,
        )
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes and counts what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    sha256: Option<Sha256>,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// With `hash` false it only counts.
    pub(crate) fn new(inner: R, hash: bool) -> Self {
        Self {
            inner,
            sha256: hash.then(Sha256::new),
            count: 0,
        }
    }

    /// Bytes read so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What was read from, and the digest of the bytes read, if they were hashed.
    pub(crate) fn finish(self) -> (R, Option<BlobDigest>) {
        let digest = self
            .sha256
            .map(|sha256| BlobDigest::from_bytes(sha256.finalize().into()));
        (self.inner, digest)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&buffer[..count]);
        }
        self.count += count as u64;
        Ok(count)
    }
}
