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
use crate::plain_tree::PlainTree;
use crate::store::Store;
use walk::{Form, UpperWalk};

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
        UpperWalk::new(&view, Form::Upper(namespace), &options.cancel, &mut sink).run(&root)?;
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
        let form = Form::Upper(OverlayNamespace::of_process());
        UpperWalk::new(&view, form, cancel, &mut sink).run(&root)?;
        Ok(sink.finish())
    }

    /// The layer that what happened to a plain tree makes over the tree that it was; the same as
    /// that of an overlay's upper after the same. The plain tree then is the tree of its chain and
    /// this layer; its files are copied.
    ///
    /// # Errors
    /// [`crate::Error::UnsafePath`] for a name that a layer cannot have, [`crate::Error::Conflict`]
    /// for a device that would mean a deletion, [`crate::Error::Source`] for a file that changes
    /// meanwhile.
    pub fn diff_plain_tree(
        &self,
        tree: &mut PlainTree,
        options: &WriterOptions,
    ) -> Result<LayerInfo> {
        let view = self.tree_view(tree.chain())?;
        let root = Arc::new(tree.root().open_descendant(b"")?);
        let _writing = self.writing()?;
        let mut sink = layer::LayerSink::new(self, &root, Adoption::Copy, options)?;
        let form = Form::Plain(tree.snapshot());
        UpperWalk::new(&view, form, &options.cancel, &mut sink).run(&root)?;
        let (info, _) = sink.finish()?;
        tree.became(info.diff_id);
        Ok(info)
    }
}
