//! What of a tree its checkouts cannot have here: an ordinary user may not make everything.
//!
//! Layers keep all of it. Only processes over a checkout miss it, and whoever starts them can say so.

use crate::digest::DiffId;
use crate::error::Result;
use crate::index::Kind;
use crate::overlay::portable;
use crate::owners::Owners;
use crate::store::Store;

/// Where every process has device nodes of its own.
const DEVICES: &[u8] = b"dev/";

/// How many paths of a tree miss something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Device nodes outside of `/dev`.
    pub devices: u64,
    /// Paths whose user or group does not exist here.
    pub owners: u64,
    /// Paths with extended attributes that cannot be set here.
    pub attributes: u64,
}

impl Store {
    /// What the tree's checkouts leave out for this process; nothing for the machine's root.
    ///
    /// # Errors
    /// As [`Store::tree_view`].
    pub fn left_out(&self, chain: &[DiffId]) -> Result<LeftOut> {
        let here = Owners::of_process();
        let mut found = LeftOut::default();
        if here.all() {
            return Ok(found);
        }
        let view = self.tree_view(chain)?;
        for visit in view.walk()? {
            let node = visit?.node;
            if matches!(node.kind(), Kind::CharDevice | Kind::BlockDevice) {
                found.devices += u64::from(!node.path().starts_with(DEVICES));
                continue;
            }
            found.owners += u64::from(!here.have(node.uid(), node.gid()));
            if node.has_xattrs() {
                let attributes = portable(node.xattrs()?);
                let all = (attributes.iter()).all(|(name, value)| here.can_set(name, value));
                found.attributes += u64::from(!all);
            }
        }
        Ok(found)
    }
}
