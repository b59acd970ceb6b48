//! File system work by directory descriptor.
//!
//! Everything below a [`Directory`] or [`RootDir`] is reached with `*at` calls on one name at a
//! time, so that a symbolic link planted by somebody else can never lead a write or a removal out
//! of the tree it was meant for. Names and link targets are bytes, not text.
//!
//! This crate knows nothing of layers, tars, hashes or overlay mounts. It prints nothing. `unsafe`
//! is confined to [`map`], where a file is mapped into memory, [`descriptor`], and [`writeback`] and
//! `list_at`, which make system calls that no library has.

pub mod apply;
pub mod copy;
pub mod descriptor;
pub mod directory;
pub mod entries;
pub mod error;
pub mod filesystem;
pub mod holes;
pub mod lock;
pub mod map;
pub mod metadata;
pub mod publish;
pub mod remove;
pub mod root;
pub mod sync;
pub mod trail;
pub mod writeback;
pub mod xattr;

mod beneath;
mod list_at;
mod resolve;

pub use apply::{Attributes, set_metadata};
pub use directory::Directory;
pub use entries::{EntryList, EntryName};
pub use error::{Error, Result};
pub use lock::FileLock;
pub use map::Map;
pub use metadata::{Kind, Metadata, Timestamp};
pub use publish::{Published, TemporaryFile, write_atomic};
pub use remove::remove_tree;
pub use root::RootDir;
pub use trail::Trail;
pub use writeback::WritebackFile;
