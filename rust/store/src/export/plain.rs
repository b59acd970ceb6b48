//! Blobs of frames that hold a run of the recipe's rows each: gzip, zstd, and the plain tar.

use crate::error::{Result, check_cancelled};
use crate::frame_cache::{Kept, Piece};
use crate::frames::Frame;

use super::Work;
use super::compressor::Compressor;
use super::in_order::in_order;
use super::output::BlobOutput;

/// Writes the blob; gives the pieces that it was made of.
pub(super) fn write(
    work: &Work<'_>,
    frames: &[Frame],
    output: &mut BlobOutput<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Piece>> {
    let mut pieces = Vec::with_capacity(frames.len());
    let mut left = frames.iter();
    let mut done = 0;
    let threads = work.options.threads.clamp(1, frames.len().max(1));
    in_order(
        threads,
        || Ok(left.next()),
        || None,
        |compressor: &mut Option<Compressor>, frame: &Frame| {
            let key = work.settings.key(&frame.identity);
            let kept = make(work, frame, &key, compressor)?;
            Ok((key, frame.length, kept))
        },
        |(key, length, kept)| {
            check_cancelled(&work.options.cancel)?;
            pieces.push(Piece::new(key, &kept));
            output.write(kept.bytes)?;
            done += length;
            progress(done);
            Ok(())
        },
    )?;
    Ok(pieces)
}

/// A frame: that of an earlier export, or made now.
fn make(
    work: &Work<'_>,
    frame: &Frame,
    key: &[u8; 32],
    compressor: &mut Option<Compressor>,
) -> Result<Kept> {
    if let Some(kept) = work.cache.and_then(|cache| cache.read(key)) {
        return Ok(kept);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(frame.length).unwrap_or(0));
    for row in frame.rows.clone() {
        work.reader.expand_checked(row, &mut bytes)?;
    }
    let compressor = match compressor {
        Some(compressor) => compressor,
        None => compressor.insert(Compressor::new(work.settings)?),
    };
    let bytes = compressor.compress(bytes)?;
    let Some(cache) = work.cache else {
        return Ok(Kept::unchecked(bytes, Vec::new()));
    };
    let kept = Kept::new(bytes, Vec::new());
    cache.write(key, &kept);
    Ok(kept)
}
