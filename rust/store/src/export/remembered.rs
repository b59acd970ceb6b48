//! A blob that was exported before, put together from the frames it was made of.
//!
//! Nothing is compressed and nothing hashed for the digest, which the record knows: each frame is
//! compared with the record's checksum of it, so that no other byte than the blob's ever leaves.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, check_cancelled};
use crate::frame_cache::{ExportRecord, FrameCache};

use super::ExportOptions;
use super::in_order::in_order;
use super::output::write_all;

/// Writes as much of the blob as there are whole frames for, without a gap from its beginning on;
/// gives the bytes written, which are all of the blob as a rule.
pub(super) fn write(
    record: &ExportRecord,
    cache: &FrameCache<'_>,
    options: &ExportOptions,
    output: &mut dyn Write,
) -> Result<u64> {
    let mut left = record.pieces.iter();
    let mut written = 0;
    let is_cut = AtomicBool::new(false);
    let done = in_order(
        options.threads,
        || Ok(left.next()),
        || (),
        |(), piece| match is_cut.load(Ordering::Relaxed) {
            true => Ok(None),
            false => Ok(cache.read_piece(piece)),
        },
        |bytes: Option<Vec<u8>>| {
            check_cancelled(&options.cancel)?;
            let Some(bytes) = bytes else {
                is_cut.store(true, Ordering::Relaxed);
                return Err(Error::not_found("a frame"));
            };
            write_all(output, &bytes)?;
            written += bytes.len() as u64;
            Ok(())
        },
    );
    match done {
        Err(Error::NotFound { .. }) if is_cut.into_inner() => Ok(written),
        Err(error) => Err(error),
        Ok(()) => Ok(written),
    }
}
