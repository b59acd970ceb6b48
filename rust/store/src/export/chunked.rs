//! Blobs of which a puller may fetch single files: zstd:chunked, as podman and CRI-O know it.
//!
//! Every chunk of a content is a zstd frame; frames that decompressors skip close the blob: a table
//! of contents, what is needed to make the tar of the files again, and a footer that says where the
//! two are. `docs/formats/export.md` has all of it. The blob is a valid zstd stream of the tar.

mod chunker;
mod contents;
mod crc64;
mod json;
mod member;
mod reading;
mod unit;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::frame_cache::{ContentsPlace, FrameCache, Kept, Piece, Stretch};
use crate::frames::Frame;

use super::Work;
use super::compressor::Compressor;
use super::in_order::in_order;
use super::output::BlobOutput;
use super::settings::Settings;
use contents::{Contents, TABLE_KIND};
use reading::{Note, Units};
use unit::{Frames, Unit, compress, decode, encode};

const ANNOTATION: &str = "io.github.containers.zstd-chunked";

/// A unit that is ready to be written.
struct Made {
    key: [u8; 32],
    kept: Kept,
    frames: Vec<Frames>,
    notes: Vec<Note>,
    plain: u64,
}

/// Writes the blob; gives the pieces it was made of, and where its table of contents is.
pub(super) fn write(
    work: &Work<'_>,
    frames: &[Frame],
    output: &mut BlobOutput<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(Vec<Piece>, ContentsPlace)> {
    let (reader, settings, cache) = (work.reader, work.settings, work.cache);
    let diff_id = &reader.info().diff_id;
    if let Some(reason) = &reader.info().raw_reason {
        return Err(Error::no_contents(
            diff_id,
            &format!("it is kept raw: {reason}"),
        ));
    }
    let mut pieces = Vec::with_capacity(frames.len() + 1);
    let mut contents = Contents::new(settings.level)?;
    let mut units = Units::new(reader, frames, settings, work.options);
    let mut done = 0;
    in_order(
        work.options.threads,
        || units.next(),
        || None,
        |compressor, unit| make(unit, settings, cache, compressor),
        |made: Made| {
            pieces.push(Piece::new(made.key, &made.kept));
            contents.take(made.notes, &made.frames, output.size())?;
            output.write(made.kept.bytes)?;
            done += made.plain;
            progress(done);
            Ok(())
        },
    )?;
    let (bytes, place) = contents.finish(output.size())?;
    let mut identity = blake3::Hasher::new();
    identity.update(b"contents");
    identity.update(diff_id.as_bytes());
    let key = settings.key(identity.finalize().as_bytes());
    let kept = Kept::new(bytes, Vec::new());
    if let Some(cache) = cache {
        cache.write(&key, &kept);
    }
    pieces.push(Piece::new(key, &kept));
    output.write(kept.bytes)?;
    Ok((pieces, place))
}

/// The frames of a unit: those of an earlier export, or made now.
fn make(
    unit: Unit,
    settings: Settings,
    cache: Option<&FrameCache<'_>>,
    compressor: &mut Option<Compressor>,
) -> Result<Made> {
    let plain = unit.bytes.len() as u64;
    let key = unit.key;
    if let Some(kept) = cache.and_then(|cache| cache.read(&key))
        && let Some(frames) = decode(&kept.table, &unit.parts, kept.bytes.len())
    {
        let notes = unit.notes;
        return Ok(Made {
            key,
            kept,
            frames,
            notes,
            plain,
        });
    }
    let compressor = match compressor {
        Some(compressor) => compressor,
        None => compressor.insert(Compressor::new(settings)?),
    };
    let (bytes, frames) = compress(&unit, compressor)?;
    let kept = match cache {
        None => Kept::unchecked(bytes, Vec::new()),
        Some(cache) => {
            let kept = Kept::new(bytes, encode(&frames));
            cache.write(&key, &kept);
            kept
        }
    };
    Ok(Made {
        key,
        kept,
        frames,
        notes: unit.notes,
        plain,
    })
}

/// What the blob's descriptor must say for the table of contents to be used.
pub(super) fn annotations(place: &ContentsPlace) -> BTreeMap<String, String> {
    let (table, tar_split) = (place.table, place.tar_split);
    let position =
        |stretch: Stretch| format!("{}:{}:{}", stretch.offset, stretch.length, stretch.plain);
    BTreeMap::from([
        (
            format!("{ANNOTATION}.manifest-checksum"),
            place.digest.to_string(),
        ),
        (
            format!("{ANNOTATION}.manifest-position"),
            format!("{}:{TABLE_KIND}", position(table)),
        ),
        (
            format!("{ANNOTATION}.tarsplit-position"),
            position(tar_split),
        ),
    ])
}
