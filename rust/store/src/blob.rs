//! Documents and blobs: bytes by their SHA-256, exactly as they came in.
//!
//! Manifests and configs are documents. They are written durably, since a reference that names one
//! follows at once; they are small.

use std::fs::File;
use std::io::{self, Read, Write};

use fastlayer_fs::TemporaryFile;
use fastlayer_fs::sync::fsync_dir;

use crate::digest::BlobDigest;
use crate::error::{Error, Result};
use crate::store::Store;

/// Largest document: as registries limit manifests.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Store {
    /// Stores a document; gives its digest.
    ///
    /// # Errors
    /// [`Error::Limit`] when it is larger than [`DOCUMENT_LIMIT`].
    pub fn put_document(&self, bytes: &[u8]) -> Result<BlobDigest> {
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(Error::limit("size of a document", DOCUMENT_LIMIT));
        }
        let digest = BlobDigest::of(bytes);
        self.name_blob(&digest)?;
        match self.get_document(&digest) {
            Ok(_) => return Ok(digest),
            // What is wrong there gives way, or it would outlive that its image is loaded again.
            Err(Error::Corrupt { .. } | Error::Limit { .. }) => {
                crate::area::remove(self.blobs(), digest.hex().as_bytes())?;
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let name = digest.hex();
        let failed = |source| Error::io(format!("cannot write blob {digest}"), source);
        let mut file = TemporaryFile::new_in(self.blobs(), 0o400)?;
        file.file_mut().write_all(bytes).map_err(failed)?;
        let synced = file.file().sync_all();
        synced.map_err(|source| self.lost_writes(failed(source)))?;
        file.publish(self.blobs(), name.as_bytes())?;
        fsync_dir(self.blobs())?;
        Ok(digest)
    }

    /// A document's bytes, checked against its digest.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Limit`].
    pub fn get_document(&self, digest: &BlobDigest) -> Result<Vec<u8>> {
        let failed = |source| Error::io(format!("cannot read blob {digest}"), source);
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(Error::limit("size of a document", DOCUMENT_LIMIT));
        }
        if BlobDigest::of(&bytes) != *digest {
            let detail = "its bytes do not have that digest";
            return Err(Error::corrupt(format!("blob {digest}"), detail));
        }
        Ok(bytes)
    }

    /// Whether the blob is stored.
    pub fn has_blob(&self, digest: &BlobDigest) -> Result<bool> {
        self.name_blob(digest)?;
        Ok(self.find_blob(digest)?.is_some())
    }

    /// Writes a stored blob to `output`, as it came in; gives its size.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn write_blob(&self, digest: &BlobDigest, output: &mut impl Write) -> Result<u64> {
        let failed = |source| Error::io(format!("cannot copy blob {digest}"), source);
        io::copy(&mut self.open_blob(digest)?, output).map_err(failed)
    }

    /// A stored blob, open for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn open_blob(&self, digest: &BlobDigest) -> Result<File> {
        self.name_blob(digest)?;
        let found = self.find_blob(digest)?;
        found.ok_or_else(|| Error::not_found(format!("blob {digest}")))
    }

    fn find_blob(&self, digest: &BlobDigest) -> Result<Option<File>> {
        let name = digest.hex();
        self.open_settled(name.as_bytes(), || {
            match self.blobs().open_file(name.as_bytes()) {
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
                Ok(file) => Ok(Some(file)),
            }
        })
    }
}
