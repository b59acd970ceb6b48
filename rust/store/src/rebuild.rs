//! Making a lost tree index again from the layer's own tar.

use std::sync::atomic::AtomicBool;

use fastlayer_tar::sparse::{Expander, SparseMap, Stretch};
use fastlayer_tar::{Entry, EntryKind, Event, Limits, Reader};

use crate::digest::{ContentHasher, ContentId, DiffId};
use crate::error::{Error, Result};
use crate::index::{IndexBuilder, TreeIndex};
use crate::indexing::{self, Refusal};
use crate::layer_reader::LayerReader;
use crate::store::Store;

/// Zeros of a hole, hashed at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Builds, stores and opens the index of a layer.
pub(crate) fn tree_index(store: &Store, diff_id: &DiffId) -> Result<TreeIndex> {
    let reader = LayerReader::open(store, diff_id)?;
    if let Some(reason) = &reader.info().raw_reason {
        return Err(Error::Raw {
            diff_id: *diff_id,
            reason: reason.clone(),
        });
    }
    let bytes = index_bytes(&reader)?;
    store.put_tree(diff_id, &bytes)?;
    Ok(TreeIndex::new(bytes)?)
}

/// The bytes of the index that belongs to a layer.
pub(crate) fn index_bytes(reader: &LayerReader) -> Result<Vec<u8>> {
    let mut rebuild = Rebuild {
        index: IndexBuilder::new(),
        member: None,
        position: 0,
        hasher: ContentHasher::new(),
    };
    let mut parser = Reader::new(Limits::default());
    let mut bytes = Vec::new();
    for row in 0..reader.recipe().rows.len() {
        bytes.clear();
        reader.expand(row, &mut bytes)?;
        parser.feed(&bytes, &mut |event: Event<'_>| rebuild.take(event))?;
    }
    parser.finish(&mut |event: Event<'_>| rebuild.take(event))?;
    rebuild.end()?;
    Ok(rebuild.index.finish()?)
}

struct Rebuild {
    index: IndexBuilder,
    member: Option<Member>,
    position: u64,
    hasher: ContentHasher,
}

/// A file whose content is passing.
struct Member {
    entry: Entry,
    /// Where its content began.
    offset: u64,
    /// Makes the whole of it, where the tar has pieces.
    expander: Option<Expander<SparseMap>>,
}

impl Rebuild {
    fn take(&mut self, event: Event<'_>) -> Result<()> {
        self.position += event.bytes().len() as u64;
        match event {
            Event::Entry { entry, .. } => {
                self.end()?;
                if entry.kind == EntryKind::File {
                    self.member = Some(Member {
                        entry: entry.clone(),
                        offset: self.position,
                        expander: entry.sparse.clone().map(Expander::new),
                    });
                } else {
                    self.push(entry, None, 0)?;
                }
            }
            Event::Content(bytes) => {
                let hasher = &mut self.hasher;
                match self
                    .member
                    .as_mut()
                    .and_then(|member| member.expander.as_mut())
                {
                    Some(expander) => expander.feed(bytes, |stretch| hash(hasher, stretch))?,
                    None => hasher.update(bytes),
                }
            }
            Event::Padding(_) | Event::Trailer(_) => self.end()?,
        }
        Ok(())
    }

    /// The file that was passing is complete.
    fn end(&mut self) -> Result<()> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        if let Some(expander) = member.expander {
            let hasher = &mut self.hasher;
            expander.finish(|stretch| hash(hasher, stretch))?;
        }
        let id = self.hasher.finish();
        self.push(&member.entry, Some(id), member.offset)
    }

    fn push(&mut self, entry: &Entry, content: Option<ContentId>, offset: u64) -> Result<()> {
        indexing::push(&mut self.index, entry, content, offset).map_err(|refusal| match refusal {
            Refusal::Contradiction(reason) => Error::corrupt("layer", reason),
            Refusal::Limit(error) => error,
        })
    }
}

fn hash(hasher: &mut ContentHasher, stretch: Stretch<'_>) -> Result<()> {
    match stretch {
        Stretch::Data(bytes) => hasher.update(bytes),
        Stretch::Hole(mut left) => {
            while left > 0 {
                let count = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
                hasher.update(&ZEROS[..count]);
                left -= count as u64;
            }
        }
    }
    Ok(())
}

/// Whether a layer's stored tar still has its DiffID.
pub(crate) fn verify_diff_id(reader: &LayerReader, cancel: &AtomicBool) -> Result<()> {
    let mut output = crate::hashing::HashingWriter::new(std::io::sink());
    reader.write_tar(&mut output, cancel)?;
    let (found, _) = output.finish();
    let expected = reader.info().diff_id;
    if DiffId::from_bytes(*found.as_bytes()) == expected {
        return Ok(());
    }
    Err(Error::DigestMismatch {
        what: "a layer's tar".to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}
