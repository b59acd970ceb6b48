//! What an overlay upper directory changes in the tree below it.
//!
//! Only the upper is walked; the layers below are looked up in their indexes, never on disk. What
//! was copied up and is the same again is no change. The upper must come from a mount with
//! `redirect_dir=off,metacopy=off`: with these it does not mean anything by itself, and is refused.

mod adopt;
mod changes;
mod compare_upper;
mod layer;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use crate::compare::Change;
use crate::digest::DiffId;
use crate::error::Result;
use crate::file_source::Adoption;
use crate::layer_info::LayerInfo;
use crate::layer_writer::WriterOptions;
use crate::overlay::OverlayNamespace;
use crate::store::Store;
use walk::UpperWalk;

impl Store {
    /// The layer that an upper directory makes over the tree of `base`.
    ///
    /// With `adopt` its files become the store's, without being copied, and the directory itself
    /// becomes the layer's checkout: it is gone afterwards. Only for an upper that nobody writes
    /// again. When this fails the upper is still there.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] for an upper of a mount with redirects or metacopy,
    /// [`crate::Error::UnsafePath`] for a name that a layer cannot have,
    /// [`crate::Error::Source`] for a file that changes meanwhile.
    pub fn diff_upper(
        &self,
        base: &[DiffId],
        upper: &Path,
        adopt: bool,
        options: &WriterOptions,
    ) -> Result<LayerInfo> {
        let view = self.tree_view(base)?;
        let root = Arc::new(Directory::open(upper)?);
        let namespace = OverlayNamespace::of_process();
        let adoption = if adopt {
            Adoption::Link
        } else {
            Adoption::Copy
        };
        // Until the checkout is in place nothing names what it is made of.
        let _writing = self.writing()?;
        let mut sink = layer::LayerSink::new(self, &root, adoption, options)?;
        UpperWalk::new(&view, namespace, &options.cancel, &mut sink).run(&root)?;
        let (info, leftovers) = sink.finish()?;
        if adopt {
            adopt::take_over(self, base, upper, &info, &leftovers, namespace)?;
        }
        Ok(info)
    }

    /// What an upper directory changes, in the order of paths, as `docker diff` lists it: a
    /// directory with changed children is changed too.
    ///
    /// # Errors
    /// As [`Store::diff_upper`].
    pub fn changes(
        &self,
        base: &[DiffId],
        upper: &Path,
        cancel: &AtomicBool,
    ) -> Result<Vec<Change>> {
        let view = self.tree_view(base)?;
        let root = Directory::open(upper)?;
        let mut sink = changes::ChangeSink::default();
        UpperWalk::new(&view, OverlayNamespace::of_process(), cancel, &mut sink).run(&root)?;
        Ok(sink.finish())
    }
}
