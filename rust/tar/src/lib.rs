//! Tar as container layers use it: bytes in, entries out, and a deterministic writer.
//!
//! The crate performs no input or output. [`Reader`] is a push parser: it takes the bytes of an
//! archive in pieces of any size and hands out [`Event`]s that cover every byte exactly once and in
//! order, so that whoever listens can hash, index and later reproduce the archive bit for bit.
//! [`encode_header`] writes the one form in which this project puts an entry into a tar.
//!
//! Names are bytes throughout: nothing here knows an encoding, a file system or a store.
#![forbid(unsafe_code)]

mod block;
mod detail;
mod entry;
mod error;
mod limits;
mod number;
mod pax;
mod pending;
mod reader;
mod sparse_map;
mod writer;

pub mod path;
pub mod sparse;
pub mod whiteout;

pub use block::{BLOCK_SIZE, padding};
pub use detail::Detail;
pub use entry::{Entry, EntryKind, Event, Timestamp};
pub use error::{EncodeError, Error, ErrorKind, PathError, WhiteoutError};
pub use limits::Limits;
pub use reader::Reader;
pub use sparse::SparseMap;
pub use writer::{TRAILER, encode_header};
