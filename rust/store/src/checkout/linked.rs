//! Which files of a checkout are links to objects: what two layers of a chain must not share.

use std::io::Read;

use fastlayer_fs::{Directory, write_atomic};

use crate::digest::ContentId;
use crate::error::{Error, Result};

const NAME: &[u8] = b"linked";
const ROW: usize = 36;

/// Objects that a checkout links, each with the row of its first path in the layer's index;
/// sorted by object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) rows: Vec<(ContentId, u32)>,
}

impl Linked {
    /// Keeps the list in the checkout's own directory.
    pub(crate) fn write(mut self, checkout: &Directory) -> Result<()> {
        self.rows.sort_unstable();
        let mut bytes = Vec::with_capacity(self.rows.len() * ROW);
        for (id, row) in &self.rows {
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(&row.to_le_bytes());
        }
        Ok(write_atomic(checkout, NAME, 0o600, &bytes, false)?)
    }

    /// Reads the list of a checkout.
    pub(crate) fn read(checkout: &Directory) -> Result<Self> {
        let path = checkout.path_to(NAME);
        let mut bytes = Vec::new();
        checkout
            .open_file(NAME)?
            .read_to_end(&mut bytes)
            .map_err(|source| Error::io(path.display(), source))?;
        let mut rows = Vec::with_capacity(bytes.len() / ROW);
        for row in bytes.chunks(ROW) {
            let damaged = || Error::corrupt(path.display(), "it is cut short");
            let (id, number) = row.split_first_chunk::<32>().ok_or_else(damaged)?;
            let number: [u8; 4] = number.try_into().map_err(|_| damaged())?;
            rows.push((ContentId::from_bytes(*id), u32::from_le_bytes(number)));
        }
        Ok(Self { rows })
    }
}
