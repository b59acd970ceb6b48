//! Build contexts: a directory on disk, seen through its ignore rules.
//!
//! What counts of a context is its contents: names, types, modes, link targets, extended
//! attributes and the bytes of files. [`StatCache`] saves reading files that have not changed
//! since they were last read; a time alone is never believed.
//!
//! This crate knows nothing of Dockerfiles, layers or tars, and does not read ignore files: it is
//! given their patterns. It writes nothing but the stat cache.

#![forbid(unsafe_code)]

pub mod content;
pub mod context;
pub mod entry;
pub mod error;
pub mod ignore;
pub mod stat_cache;
pub mod wildcard;

mod glob;
mod hashing;
mod pattern;
mod queue;
mod walk;

pub use content::ContentHash;
pub use context::{Context, Walk, WalkOptions};
pub use entry::Entry;
pub use error::{Error, Result};
pub use ignore::IgnoreMatcher;
pub use stat_cache::StatCache;
