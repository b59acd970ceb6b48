//! ADD of archives: a tar, plain or compressed, known by its content, becomes what it holds.
//!
//! An archive is taken in as a layer is and then copied as a tree: there is one parser, and links
//! and duplicates in it mean here what they mean in a layer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use fastlayer_tar::{Event, Limits, Reader};

use super::CopySource;
use super::item::{Body, Item, Match};
use super::select::SourceTree;
use super::tree_source::TreeSource;
use crate::decompress::Decompressor;
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::FileSource;
use crate::index::Kind;
use crate::ingest::IngestOptions;
use crate::layer_writer::{Durability, WriterOptions};
use crate::store::Store;

/// Bytes of a tar's beginning that tell it from other files.
const HEAD: usize = 512;

/// Replaces each match that is an archive by its contents.
pub(super) fn unpack_all(
    store: &Store,
    sources: &[CopySource],
    matches: &mut [Match],
    options: &WriterOptions,
) -> Result<()> {
    for (number, found) in matches.iter_mut().enumerate() {
        check_cancelled(&options.cancel)?;
        if let Some(CopySource::File { unpack: false, .. }) = sources.get(found.source) {
            continue;
        }
        let [item] = found.items.as_slice() else {
            continue;
        };
        let Some(mut file) = open(store, item)? else {
            continue;
        };
        if is_archive(&mut file)? {
            found.items = unpack(store, &found.name, file, options)?;
            // Each archive counts its files anew: those of two of them are never one file.
            found.source = sources.len() + number;
            found.replaces = true;
        }
    }
    Ok(())
}

/// The file of an item, if it is one that can be an archive.
fn open(store: &Store, item: &Item) -> Result<Option<File>> {
    if item.kind != Kind::File || item.size == 0 {
        return Ok(None);
    }
    match &item.body {
        Body::Context { context, top, .. } => Ok(Some(context.open(&item.path_below(top))?)),
        Body::Local { path } => File::open(path)
            .map(Some)
            .map_err(|source| Error::io(path.display(), source)),
        Body::Stored(FileSource::Object(id)) => store.open_object(id).map(Some),
        _ => Ok(None),
    }
}

/// Whether the file begins as a tar does, once it is decompressed.
fn is_archive(file: &mut File) -> Result<bool> {
    let mut head = [0; HEAD];
    let mut filled = 0;
    {
        let Ok(mut plain) = Decompressor::new(&mut *file) else {
            return rewind(file, false);
        };
        while filled < HEAD {
            match plain.read(&mut head[filled..], |_| 0) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
    }
    let mut reader = Reader::new(Limits::default());
    let mut accept = |_: Event<'_>| Ok::<(), fastlayer_tar::Error>(());
    let is_zero = head.iter().all(|byte| *byte == 0);
    let is_tar = filled == HEAD && !is_zero && reader.feed(&head, &mut accept).is_ok();
    rewind(file, is_tar)
}

fn rewind(file: &mut File, answer: bool) -> Result<bool> {
    file.seek(SeekFrom::Start(0))
        .map_err(|source| Error::io("archive", source))?;
    Ok(answer)
}

/// All that the archive holds, below an item that stands for its root.
fn unpack(store: &Store, name: &[u8], file: File, options: &WriterOptions) -> Result<Vec<Item>> {
    let mut writer = options.clone();
    writer.durability = Durability::Deferred;
    let options = IngestOptions {
        writer,
        ..IngestOptions::default()
    };
    let info = store
        .ingest(file.take(u64::MAX), options, &mut |_| {})
        .map_err(|error| named(name, error))?;
    if let Some(reason) = info.raw_reason {
        return Err(Error::source(
            name,
            format!("this archive cannot be unpacked: {reason}"),
        ));
    }
    let view = store.tree_view(&[info.diff_id])?;
    let mut items = vec![Item::new(Kind::Directory, 0o755)];
    TreeSource::of_archive(store, &view).subtree(b"", &mut items)?;
    Ok(items)
}

/// Says which archive an error is about.
fn named(name: &[u8], error: Error) -> Error {
    match error {
        Error::TarFormat { .. } | Error::Format { .. } | Error::Limit { .. } => {
            Error::source(name, format!("this archive cannot be unpacked: {error}"))
        }
        other => other,
    }
}
