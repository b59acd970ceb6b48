//! The one form in which an entry is written.
//!
//! The bytes depend on the entry alone and are a promise: layer digests rest on them (see
//! `docs/formats/tar.md`). A ustar header where it suffices; else a PAX header in front of it with
//! only the records that do not fit, by key. No user names, no access times, no holes; times on
//! whole seconds.

use crate::block::{BLOCK_SIZE, padding};
use crate::entry::{Entry, EntryKind};
use crate::error::EncodeError;
use crate::limits::Limits;
use crate::path::normalise;
use crate::pax::{XATTR_PREFIX, push_record};

/// The end of an archive: two zero blocks and no more.
pub const TRAILER: [u8; 2 * BLOCK_SIZE] = [0; 2 * BLOCK_SIZE];

/// The name that a PAX header itself bears; readers that know PAX never show it.
const PAX_HEADER_NAME: &[u8] = b"PaxHeader";

/// What eight bytes of octal hold.
const MAX_SHORT: u64 = 0o7_777_777;

/// What twelve bytes of octal hold.
const MAX_LONG: u64 = 0o77_777_777_777;

/// Append the header of an entry. `size` bytes of content and [`padding`] zeros must follow.
///
/// The path, and the target of a hard link, are written in their normal form, a directory's with a
/// slash behind it and the root as `./`. Nanoseconds are dropped; of the mode the lower twelve
/// bits count.
///
/// # Errors
/// Paths that are none or too long, links without a target, sizes of what has no content, sparse
/// entries (write the expanded file instead), device numbers above 2,097,151, and attribute names
/// with `=` or NUL.
pub fn encode_header(entry: &Entry, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    check(entry)?;
    let path = written_path(entry)?;
    let link = written_link(entry)?;
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut record = |key: &[u8], value: Vec<u8>| records.push((key.to_vec(), value));

    let (prefix, name) = match split_name(&path) {
        Some(parts) => parts,
        None => {
            record(b"path", path.clone());
            (&b""[..], shortened(&path))
        }
    };
    if link.len() > 100 {
        record(b"linkpath", link.clone());
    }
    let mut number = |key: &[u8], value: i128, limit: u64| {
        u64::try_from(value)
            .ok()
            .filter(|&value| value <= limit)
            .unwrap_or_else(|| {
                record(key, value.to_string().into_bytes());
                0
            })
    };
    let size = number(b"size", entry.size.into(), MAX_LONG);
    let uid = number(b"uid", entry.uid.into(), MAX_SHORT);
    let gid = number(b"gid", entry.gid.into(), MAX_SHORT);
    let mtime = number(b"mtime", entry.mtime.seconds.into(), MAX_LONG);
    for (key, value) in &entry.xattrs {
        records.push(([XATTR_PREFIX, key].concat(), value.clone()));
    }

    push_pax_header(entry, records, out)?;
    let mut block = Block::new(type_flag(entry.kind), name);
    block.octal(100..108, u64::from(entry.mode & 0o7777));
    block.octal(108..116, uid);
    block.octal(116..124, gid);
    block.octal(124..136, size);
    block.octal(136..148, mtime);
    block.text(157, &link[..link.len().min(100)]);
    block.octal(329..337, u64::from(entry.device.0));
    block.octal(337..345, u64::from(entry.device.1));
    block.text(345, prefix);
    block.finish(out);
    Ok(())
}

/// What no tar can say, or what would say something else than it seems to.
fn check(entry: &Entry) -> Result<(), EncodeError> {
    let is_device = matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice);
    let is_link = matches!(entry.kind, EntryKind::Symlink | EntryKind::Hardlink);
    let device_limit = u64::from(entry.device.0.max(entry.device.1));
    let reason = if entry.sparse.is_some() {
        "a sparse file is written whole"
    } else if entry.size != 0 && entry.kind != EntryKind::File {
        "only a file has content"
    } else if is_link == entry.link.is_empty() {
        "a link, and nothing else, has a target"
    } else if entry.link.contains(&0) {
        "its link target holds a NUL byte"
    } else if entry.link.len() > Limits::PATH_BYTES {
        "its link target is too long"
    } else if !is_device && entry.device != (0, 0) {
        "only a device has a device number"
    } else if device_limit > MAX_SHORT {
        "its device number is too large"
    } else if entry.xattrs.keys().any(|key| !is_attribute_name(key)) {
        "the name of an extended attribute is empty or holds = or NUL"
    } else if i64::try_from(entry.size).is_err() {
        "it is too large"
    } else {
        return Ok(());
    };
    Err(refuse(entry, reason))
}

fn refuse(entry: &Entry, reason: &'static str) -> EncodeError {
    EncodeError::Entry {
        path: entry.path.clone(),
        reason,
    }
}

fn is_attribute_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'=') && !name.contains(&0)
}

fn written_path(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    let mut path = normalise(&entry.path)?;
    match entry.kind {
        EntryKind::Directory if path.is_empty() => path.extend_from_slice(b"./"),
        EntryKind::Directory => path.push(b'/'),
        _ if path.is_empty() => return Err(refuse(entry, "the root is a directory")),
        _ => {}
    }
    if path.len() > Limits::PATH_BYTES {
        return Err(refuse(entry, "its path is too long"));
    }
    Ok(path)
}

fn written_link(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    if entry.kind != EntryKind::Hardlink {
        return Ok(entry.link.clone());
    }
    let link = normalise(&entry.link)?;
    if link.is_empty() {
        return Err(refuse(entry, "a hard link to the root"));
    }
    Ok(link)
}

/// Prefix and name fields that hold the path; the prefix as long as may be.
fn split_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The slash of a directory belongs to its name; a name is never empty.
    let latest = path.len().saturating_sub(2).min(155);
    let slash = path
        .get(..=latest)?
        .iter()
        .rposition(|&byte| byte == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (!prefix.is_empty() && name.len() <= 100).then_some((prefix, name))
}

/// The beginning of a path, for readers that do not know PAX.
fn shortened(path: &[u8]) -> &[u8] {
    &path[..path.len().min(100)]
}

fn type_flag(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => b'0',
        EntryKind::Hardlink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

/// The extended header, when there is anything to say in it.
fn push_pax_header(
    entry: &Entry,
    mut records: Vec<(Vec<u8>, Vec<u8>)>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if records.is_empty() {
        return Ok(());
    }
    records.sort_unstable();
    let mut data = Vec::new();
    for (key, value) in &records {
        push_record(&mut data, key, value);
    }
    let size = data.len() as u64;
    if size > Limits::EXTENSION_BYTES {
        return Err(refuse(entry, "its extended attributes are too large"));
    }
    let mut block = Block::new(b'x', PAX_HEADER_NAME);
    block.octal(100..108, 0o644);
    for field in [108..116, 116..124, 136..148, 329..337, 337..345] {
        block.octal(field, 0);
    }
    block.octal(124..136, size);
    block.finish(out);
    out.extend_from_slice(&data);
    out.resize(out.len() + padding(size), 0);
    Ok(())
}

/// A header block in the making.
struct Block([u8; BLOCK_SIZE]);

impl Block {
    fn new(type_flag: u8, name: &[u8]) -> Self {
        let mut block = Self([0; BLOCK_SIZE]);
        block.text(0, name);
        block.0[156] = type_flag;
        block.text(257, b"ustar\x0000");
        block
    }

    fn text(&mut self, start: usize, text: &[u8]) {
        self.0[start..start + text.len()].copy_from_slice(text);
    }

    /// Octal digits, zeros in front, one NUL behind.
    fn octal(&mut self, field: std::ops::Range<usize>, mut value: u64) {
        let Some((last, digits)) = self.0[field].split_last_mut() else {
            return;
        };
        *last = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value & 7) as u8;
            value >>= 3;
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        self.text(148, b"        ");
        let sum: u64 = self.0.iter().map(|&byte| u64::from(byte)).sum();
        self.octal(148..155, sum);
        out.extend_from_slice(&self.0);
    }
}
