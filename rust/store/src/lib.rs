//! The layer store: layers go in as tars or as files, and come out bit for bit, as trees to look
//! into, as checkouts to mount, or compressed for the wire.
//!
//! A layer is kept as a *recipe*: a list of segments of its tar. Large file contents are *objects*,
//! stored once for all layers; the rest of the tar lies in *segments*, which versions of a layer
//! share. `docs/formats/` has the layouts byte by byte. This crate knows nothing of images, of
//! Dockerfiles and of Python.

#![forbid(unsafe_code)]

mod area;
mod arena;
mod assembler;
mod contents;
mod distrust;
mod early_sync;
mod frame_cache;
mod frames;
mod hashing;
mod indexing;
mod intake;
mod kept_blob;
mod late_object;
mod lost_writes;
mod open_indexes;
mod owners;
mod pipeline;
mod read;
mod rebuild;
mod recipe;
mod segment;
mod sparse_content;
mod sync;
mod tally;
mod tree_writer;
mod view;
mod worker;
mod write_tree;

pub mod blob;
pub mod checkout;
pub mod clamp;
pub mod collect;
pub mod compare;
pub mod copy;
pub mod decompress;
pub mod diff;
pub mod digest;
pub mod error;
pub mod export;
pub mod file_source;
pub mod fsck;
pub mod index;
pub mod ingest;
pub mod layer_info;
pub mod layer_reader;
pub mod layer_writer;
pub mod lease;
pub mod left_out;
pub mod object;
pub mod overlay;
pub mod plain_tree;
pub mod progress;
pub mod repair;
pub mod squash;
pub mod store;
pub mod tree;
pub mod tree_id;
pub mod usage;

pub use checkout::{Ladder, Lowers, Trial};
pub use collect::{Collected, Keep};
pub use digest::{BlobDigest, ContentHasher, ContentId, DiffId, SegmentId, TreeId};
pub use error::{Error, Result};
pub use export::{Codec, ExportOptions, ExportedBlob};
pub use file_source::{Adoption, FileSource, PathSource, Report};
pub use fsck::{Level, Problem};
pub use ingest::IngestOptions;
pub use layer_info::LayerInfo;
pub use layer_reader::LayerReader;
pub use layer_writer::{Durability, LayerWriter, SealedLayer, WriterOptions};
pub use lease::Lease;
pub use left_out::LeftOut;
pub use plain_tree::{MountPoint, PlainTree};
pub use progress::Progress;
pub use store::Store;
pub use tally::disk_usage;
