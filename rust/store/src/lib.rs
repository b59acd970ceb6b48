//! The layer store: layers go in as tars or as files, and come out bit for bit, as trees to look
//! into, as checkouts to mount, or compressed for the wire.
//!
//! A layer is kept as a *recipe*: a list of segments of its tar. Large file contents are *objects*,
//! stored once for all layers; the rest of the tar lies in *segments*, which versions of a layer
//! share. `docs/formats/` has the layouts byte by byte. This crate knows nothing of images, of
//! Dockerfiles and of Python.

#![forbid(unsafe_code)]

pub mod compare;
pub mod digest;
pub mod error;
pub mod index;
pub mod tree;
pub mod tree_id;

pub use digest::{BlobDigest, ContentHasher, ContentId, DiffId, SegmentId, TreeId};
pub use error::{Error, Result};
