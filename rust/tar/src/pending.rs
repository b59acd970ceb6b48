//! What stands in front of an entry, gathered until the entry comes.
//!
//! Extended headers, long names and long links change the header block that follows them. Where
//! readers differ on which of several counts, Go's archive/tar decides: Docker, BuildKit,
//! containerd, buildah and podman read layers with it.

use std::collections::BTreeMap;

use crate::block::{BLOCK_SIZE, Fields};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::number::{decimal, time, until_nul};
use crate::path;
use crate::pax::{self, Records, XATTR_PREFIX};
use crate::sparse::Piece;
use crate::sparse_map::{self, GnuMap, PaxMap, pax_form, text};

/// The type flag of a GNU dump directory: a directory whose data is a list of names.
pub const DUMP_DIRECTORY: u8 = b'D';

/// Members that stand in front of an entry or create no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// PAX records for the next entry.
    Pax,
    /// PAX records for all later entries, which no reader of layers applies.
    Global,
    /// The next entry's path.
    LongName,
    /// The next entry's link target.
    LongLink,
    /// A volume label (GNU) or an access control list (Solaris): no file.
    Skipped,
}

impl Extension {
    /// The extension a type flag announces.
    pub fn of(type_flag: u8) -> Option<Self> {
        Some(match type_flag {
            b'x' => Self::Pax,
            b'g' => Self::Global,
            b'L' => Self::LongName,
            b'K' => Self::LongLink,
            b'A' | b'V' => Self::Skipped,
            _ => return None,
        })
    }
}

/// Where a file's map of pieces comes from.
#[derive(Debug)]
pub enum Sparse {
    /// The file has none.
    None,
    /// All of it is known.
    Known { real_size: i64, pieces: Vec<Piece> },
    /// Blocks of the old GNU form may follow.
    Gnu(GnuMap),
    /// It stands in front of the stored bytes.
    Data { real_size: i64 },
}

/// An entry, all that was said about it applied.
#[derive(Debug)]
pub struct Resolved {
    pub entry: Entry,
    /// Bytes that follow in the archive before the padding; not all need be content.
    pub stored: u64,
    pub sparse: Sparse,
}

/// Changes to the next header block.
#[derive(Debug, Default)]
pub struct Pending {
    records: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Pending {
    /// Whether an entry must follow.
    pub fn is_empty(&self) -> bool {
        self.records.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }

    /// Take the data of an extension. A later one replaces an earlier one of its kind; a global
    /// header or a member that is skipped drops all that was gathered.
    pub fn take(&mut self, extension: Extension, data: &[u8]) -> Result<(), ErrorKind> {
        match extension {
            Extension::Pax => self.records = Some(pax::parse(data).map_err(ErrorKind::Pax)?),
            Extension::Global => {
                pax::parse(data).map_err(ErrorKind::Pax)?;
                *self = Self::default();
            }
            Extension::LongName => self.long_name = Some(until_nul(data).to_vec()),
            Extension::LongLink => self.long_link = Some(until_nul(data).to_vec()),
            Extension::Skipped => *self = Self::default(),
        }
        Ok(())
    }

    /// Make an entry of a header block, and be empty again.
    pub fn resolve(
        &mut self,
        mut fields: Fields,
        block: &[u8; BLOCK_SIZE],
        limits: &Limits,
    ) -> Result<Resolved, ErrorKind> {
        let Self {
            records,
            long_name,
            long_link,
        } = std::mem::take(self);
        let records = records.unwrap_or_default();
        let mut mtime = Timestamp::from_seconds(fields.mtime);
        override_fields(&mut fields, &mut mtime, &records)?;
        override_text(&mut fields.name, long_name.as_deref().unwrap_or_default());
        override_text(&mut fields.link, long_link.as_deref().unwrap_or_default());
        let kind = kind(&fields)?;
        let stored = stored_bytes(&fields, kind)?;
        let sparse = find_sparse(&mut fields, block, kind, &records, limits)?;

        check_paths(&fields, kind, limits)?;
        let is_link = matches!(kind, EntryKind::Symlink | EntryKind::Hardlink);
        let entry = Entry {
            kind,
            mode: (fields.mode & 0o7777) as u32,
            uid: id(fields.uid, "uid")?,
            gid: id(fields.gid, "gid")?,
            size: if kind == EntryKind::File { stored } else { 0 },
            mtime,
            link: if is_link { fields.link } else { Vec::new() },
            device: device(kind, fields.device)?,
            xattrs: attributes(records)?,
            sparse: None,
            path: fields.name,
        };
        Ok(Resolved {
            entry,
            stored,
            sparse,
        })
    }
}

/// Names no longer and no deeper than they may be.
fn check_paths(fields: &Fields, kind: EntryKind, limits: &Limits) -> Result<(), ErrorKind> {
    for (text, part) in [(&fields.name, "a path"), (&fields.link, "a link target")] {
        if text.len() > limits.path_bytes {
            return Err(ErrorKind::Limit {
                part,
                limit: limits.path_bytes as u64,
            });
        }
    }
    // A symbolic link may say anything: where it leads is bounded when it is followed.
    let target = (kind == EntryKind::Hardlink).then_some(&fields.link);
    for path in [Some(&fields.name), target].into_iter().flatten() {
        if path::components(path).nth(limits.path_components).is_some() {
            return Err(ErrorKind::Limit {
                part: "the number of components of a path",
                limit: limits.path_components as u64,
            });
        }
    }
    Ok(())
}

/// Apply PAX records; a record with an empty value leaves the field as it is.
fn override_fields(
    fields: &mut Fields,
    mtime: &mut Timestamp,
    records: &Records,
) -> Result<(), ErrorKind> {
    override_text(&mut fields.name, text(records, b"path"));
    override_text(&mut fields.link, text(records, b"linkpath"));
    for (key, field) in [
        ("uid", &mut fields.uid),
        ("gid", &mut fields.gid),
        ("size", &mut fields.size),
    ] {
        let value = text(records, key.as_bytes());
        if !value.is_empty() {
            *field = decimal(value).ok_or(ErrorKind::PaxValue { key })?;
        }
    }
    // The other two times are read only to refuse what Go refuses.
    for key in ["atime", "ctime", "mtime"] {
        let value = text(records, key.as_bytes());
        if !value.is_empty() {
            let value = time(value).ok_or(ErrorKind::PaxValue { key })?;
            if key == "mtime" {
                *mtime = value;
            }
        }
    }
    Ok(())
}

fn override_text(field: &mut Vec<u8>, text: &[u8]) {
    if !text.is_empty() {
        *field = text.to_vec();
    }
}

fn kind(fields: &Fields) -> Result<EntryKind, ErrorKind> {
    Ok(match fields.type_flag {
        // Before there was a type for directories, a slash at the end made one.
        0 if fields.name.ends_with(b"/") => EntryKind::Directory,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::Hardlink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' | DUMP_DIRECTORY => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => return Err(ErrorKind::Type(other)),
    })
}

/// Only files and dump directories have data, whatever the size of others says.
fn stored_bytes(fields: &Fields, kind: EntryKind) -> Result<u64, ErrorKind> {
    if kind != EntryKind::File && fields.type_flag != DUMP_DIRECTORY {
        return Ok(0);
    }
    u64::try_from(fields.size).map_err(|_| ErrorKind::Number { field: "size" })
}

fn id(value: i64, field: &'static str) -> Result<u32, ErrorKind> {
    u32::try_from(value).map_err(|_| ErrorKind::Number { field })
}

fn device(kind: EntryKind, (major, minor): (i64, i64)) -> Result<(u32, u32), ErrorKind> {
    match kind {
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            Ok((id(major, "devmajor")?, id(minor, "devminor")?))
        }
        _ => Ok((0, 0)),
    }
}

fn attributes(records: Records) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ErrorKind> {
    let mut attributes = BTreeMap::new();
    for (key, value) in records {
        let Some(name) = key.strip_prefix(XATTR_PREFIX) else {
            continue;
        };
        if name.is_empty() {
            return Err(ErrorKind::Pax("an extended attribute without a name"));
        }
        attributes.insert(name.to_vec(), value);
    }
    Ok(attributes)
}

/// Find out whether the file is sparse; PAX may then give it another name and its real size.
fn find_sparse(
    fields: &mut Fields,
    block: &[u8; BLOCK_SIZE],
    kind: EntryKind,
    records: &Records,
    limits: &Limits,
) -> Result<Sparse, ErrorKind> {
    if fields.type_flag == b'S' {
        return Ok(Sparse::Gnu(GnuMap::from_header(
            block,
            fields.dialect,
            limits,
        )?));
    }
    let form = pax_form(records);
    if form == PaxMap::None {
        return Ok(Sparse::None);
    }
    if kind != EntryKind::File {
        return Err(ErrorKind::Sparse("it is no regular file"));
    }
    override_text(&mut fields.name, text(records, b"GNU.sparse.name"));
    for key in ["GNU.sparse.realsize", "GNU.sparse.size"] {
        let value = text(records, key.as_bytes());
        if !value.is_empty() {
            fields.size = decimal(value).ok_or(ErrorKind::PaxValue { key })?;
        }
    }
    let real_size = fields.size;
    Ok(match form {
        PaxMap::Records => Sparse::Known {
            real_size,
            pieces: sparse_map::from_records(records, limits)?,
        },
        _ => Sparse::Data { real_size },
    })
}
