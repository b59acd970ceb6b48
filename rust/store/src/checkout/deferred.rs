//! Files that a layer's checkout leaves out because they are to be stubs.
//!
//! A mount follows stubs in its lowest directory only, and which layer is lowest differs from chain
//! to chain: the chain's own directories have these files ([`super::stack`]).

use std::io::Read;

use fastlayer_fs::{Directory, write_atomic};

use crate::error::{Error, Result};

const NAME: &[u8] = b"deferred";

/// The rows, in the layer's index, of the first paths of such files; sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deferred {
    pub(super) rows: Vec<u32>,
}

impl Deferred {
    /// Keeps the list in the checkout's own directory; an empty one is not kept.
    pub(super) fn write(&self, checkout: &Directory) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.rows.iter().flat_map(|row| row.to_le_bytes()).collect();
        Ok(write_atomic(checkout, NAME, 0o600, &bytes, false)?)
    }

    /// Reads the list of a checkout.
    pub(super) fn read(checkout: &Directory) -> Result<Self> {
        let mut file = match checkout.open_file(NAME) {
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            file => file?,
        };
        let path = checkout.path_to(NAME);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| Error::io(path.display(), source))?;
        let (rows, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(Error::corrupt(path.display(), "it is cut short"));
        }
        Ok(Self {
            rows: rows.iter().map(|row| u32::from_le_bytes(*row)).collect(),
        })
    }
}
