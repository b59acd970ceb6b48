//! A member of the tar as the table of contents describes it.
//!
//! A puller makes files from the table, and the tar again from the tar-split data; it refuses a
//! blob in which the two disagree, as Go's reader of tars understands them. So whatever that
//! reader may see in another way than we do, or the table has no form for, is refused here.

use fastlayer_tar::{Detail, Entry, EntryKind};

use super::json::{Object, base64, moment};
use super::unit::{Chunk, Sums};
use crate::digest::BlobDigest;
use crate::error::Result;

/// A member, with what precedes its content in the tar.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
    /// Padding of the member before, and the headers.
    pub(super) segment: Vec<u8>,
    kind: EntryKind,
    link: String,
    mode: i64,
    owner: (u32, u32),
    device: (i64, i64),
    /// mtime, atime and ctime.
    times: [Option<String>; 3],
    xattrs: Vec<(String, String)>,
}

impl Member {
    /// # Errors
    /// Why the table cannot have it.
    pub(super) fn new(entry: &Entry, header: &[u8], segment: Vec<u8>) -> Result<Self, String> {
        let name = text(&entry.path, "a name")?;
        let detail = Detail::read(header).filter(|_| entry.sparse.is_none());
        let detail = detail.ok_or_else(|| format!("{name} is a sparse file"))?;
        if let Some(reason) = oddity(entry, &detail) {
            return Err(format!("{name} {reason}"));
        }
        let time = |time| moment(time).ok_or_else(|| format!("{name} has a time out of range"));
        let mut xattrs = Vec::new();
        for (key, value) in &entry.xattrs {
            xattrs.push((text(key, "the name of an attribute")?, base64(value)));
        }
        Ok(Self {
            times: [
                Some(time(entry.mtime)?),
                detail.access.map(time).transpose()?,
                detail.change.map(time).transpose()?,
            ],
            name,
            size: entry.size,
            segment,
            kind: entry.kind,
            link: text(&entry.link, "a link target")?,
            mode: detail.mode,
            owner: (entry.uid, entry.gid),
            device: detail.device,
            xattrs,
        })
    }

    /// The rows of the table: one for the member, and one for each chunk of its content but the
    /// first. `chunks` have the places of their frames.
    pub(super) fn rows(&self, chunks: &[(u64, Chunk)], sums: Option<Sums>) -> Result<Vec<Vec<u8>>> {
        let mut row = Object::new();
        row.text("type", type_name(self.kind))?;
        row.text("name", &self.name)?;
        row.text("linkName", &self.link)?;
        row.number("mode", self.mode);
        row.number("size", signed(self.size));
        row.number("uid", self.owner.0.into());
        row.number("gid", self.owner.1.into());
        let times = ["modtime", "accesstime", "changetime"];
        for (key, time) in times.iter().zip(&self.times) {
            row.text(key, time.as_deref().unwrap_or_default())?;
        }
        row.number("devMajor", self.device.0);
        row.number("devMinor", self.device.1);
        let mut xattrs = Object::new();
        for (key, value) in &self.xattrs {
            xattrs.any_text(key, value)?;
        }
        row.object("xattrs", xattrs);
        if let (Some(sums), Some((first, _)), Some((last, end))) =
            (sums, chunks.first(), chunks.last())
        {
            row.text("digest", &digest(&sums.digest))?;
            row.number("offset", signed(*first));
            row.number("endOffset", signed(last + end.compressed));
        }
        if let ([(_, first), more @ ..], true) = (chunks, chunks.len() > 1) {
            describe(&mut row, first, 0)?;
            let mut rows = vec![row.end()];
            let mut position = first.plain;
            for (offset, chunk) in more {
                let mut row = Object::new();
                row.text("type", "chunk")?;
                row.text("name", &self.name)?;
                row.number("offset", signed(*offset));
                describe(&mut row, chunk, position)?;
                rows.push(row.end());
                position += chunk.plain;
            }
            return Ok(rows);
        }
        Ok(vec![row.end()])
    }
}

fn describe(row: &mut Object, chunk: &Chunk, position: u64) -> Result<()> {
    row.number("chunkSize", signed(chunk.plain));
    row.number("chunkOffset", signed(position));
    row.text("chunkDigest", &digest(&chunk.digest))?;
    row.text("chunkType", if chunk.is_zeros { "zeros" } else { "" })
}

/// What another reader may see in another way.
fn oddity(entry: &Entry, detail: &Detail) -> Option<&'static str> {
    let is_link = matches!(entry.kind, EntryKind::Symlink | EntryKind::Hardlink);
    if detail.has_foreign {
        return Some("comes after a header that stands for no file");
    }
    if !matches!(detail.type_flag, 0 | b'0'..=b'6') {
        return Some("has a type of its own");
    }
    if detail.has_link && !is_link {
        return Some("names a link target and is no link");
    }
    if u64::try_from(detail.size) != Ok(entry.size) {
        return Some("has a size and no content");
    }
    None
}

fn text(bytes: &[u8], what: &str) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|_| format!("{what} is not UTF-8: {}", bytes.escape_ascii()))
}

fn type_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "reg",
        EntryKind::Directory => "dir",
        EntryKind::Symlink => "symlink",
        EntryKind::Hardlink => "hardlink",
        EntryKind::CharDevice => "char",
        EntryKind::BlockDevice => "block",
        EntryKind::Fifo => "fifo",
    }
}

fn digest(bytes: &[u8; 32]) -> String {
    BlobDigest::from_bytes(*bytes).to_string()
}

/// Sizes and offsets are far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
