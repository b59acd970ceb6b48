//! Which rungs of the ladder hold here, each found out by trying it once.

use std::fs::File;
use std::io::Write;

use fastlayer_fs::TemporaryFile;
use fastlayer_fs::copy::{copy_whole, reflink};

use super::{stub, trial};
use crate::contents::{Contents, cannot_write};
use crate::error::{Error, Result};
use crate::file_source::FileSource;
use crate::store::Store;
use crate::tree::Node;

/// The rungs that hold for one store and this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rungs {
    pub(super) hardlink: bool,
    pub(super) reflink: bool,
    pub(super) stub: bool,
}

impl Rungs {
    pub(super) fn of(store: &Store) -> Result<Self> {
        let ladder = store.ladder();
        let reflink = ladder.reflink && store.shares_blocks(|| blocks_are_shared(store))?;
        // Where reflinks work no stub is needed.
        let stub = match ladder.stub {
            Some(try_mount) if !reflink => {
                store.follows_stubs(|| trial::stubs_are_followed(store, try_mount))?
            }
            _ => false,
        };
        Ok(Self {
            hardlink: ladder.hardlink,
            reflink,
            stub,
        })
    }

    /// Whether a file that cannot be its object is to be a stub.
    pub(super) fn wants_stub(&self, source: &FileSource, size: u64) -> bool {
        self.stub && size >= stub::FLOOR && matches!(source, FileSource::Object(_))
    }

    /// Gives the empty file of a node its content, which is at `source`: by reflink, or as a copy.
    pub(super) fn fill(
        &self,
        store: &Store,
        contents: &Contents<'_>,
        (node, source): (&Node<'_>, &FileSource),
        file: &mut File,
    ) -> Result<()> {
        let FileSource::Object(id) = source else {
            return contents.fill(node, source, file);
        };
        let object = store.open_object(id)?;
        let failed = |source| cannot_write(node.path(), source);
        if self.reflink && reflink(&object, &*file).map_err(failed)? {
            return Ok(());
        }
        copy_whole(&object, file).map_err(failed)
    }
}

/// Whether files of the store can share blocks.
fn blocks_are_shared(store: &Store) -> Result<bool> {
    let failed = |source| Error::io("cannot write in the store", source);
    let mut one = TemporaryFile::new_in(store.staging(), 0o600)?;
    let two = TemporaryFile::new_in(store.staging(), 0o600)?;
    one.file_mut().write_all(&[1; 4096]).map_err(failed)?;
    reflink(one.file(), two.file()).map_err(failed)
}
