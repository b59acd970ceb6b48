//! What the headers in front of a member say beyond what layers use.
//!
//! Other readers of a layer's tar hand on the parts that [`crate::Entry`] leaves out: whoever must
//! tell them what they will find needs to know. Here nothing is judged or mended.

use crate::block::{BLOCK_SIZE, Dialect, decode, padding};
use crate::entry::Timestamp;
use crate::number::{decimal, numeric, time};
use crate::pax::{self, Records};
use crate::pending::Extension;
use crate::sparse_map::text;

/// The parts of a member's headers that an [`crate::Entry`] does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// The type flag of the header block.
    pub type_flag: u8,
    /// The mode with all its bits.
    pub mode: i64,
    /// The size, also of what has no content.
    pub size: i64,
    /// Major and minor number, also of what is no device.
    pub device: (i64, i64),
    /// Whether the header block names a link target.
    pub has_link: bool,
    /// Time of last access, where one is given.
    pub access: Option<Timestamp>,
    /// Time of last change, where one is given.
    pub change: Option<Timestamp>,
    /// Whether a global header, a volume label or the like stands in front.
    pub has_foreign: bool,
}

impl Detail {
    /// Reads the raw bytes of a member's headers, as [`crate::Event::Entry`] has them; `None` for
    /// others, and for those of sparse files.
    pub fn read(header: &[u8]) -> Option<Self> {
        let mut rest = header;
        let mut records = Records::new();
        let mut has_foreign = false;
        loop {
            let (block, after) = rest.split_first_chunk::<BLOCK_SIZE>()?;
            let fields = decode(block).ok()?;
            let Some(extension) = Extension::of(fields.type_flag) else {
                if !after.is_empty() {
                    return None;
                }
                let mut detail = Self::of_block(block, &fields, has_foreign);
                detail.apply(&records)?;
                return Some(detail);
            };
            let size = u64::try_from(fields.size).ok()?;
            let length = usize::try_from(size).ok()?;
            let data = after.get(..length)?;
            rest = after.get(length + padding(size)..)?;
            match extension {
                Extension::Pax => records = pax::parse(data).ok()?,
                Extension::LongName | Extension::LongLink => {}
                Extension::Global | Extension::Skipped => has_foreign = true,
            }
        }
    }

    fn of_block(
        block: &[u8; BLOCK_SIZE],
        fields: &crate::block::Fields,
        has_foreign: bool,
    ) -> Self {
        let moment = |field: &[u8]| {
            let seconds = numeric(field).filter(|_| field[0] != 0);
            seconds.map(Timestamp::from_seconds)
        };
        let (access, change) = match fields.dialect {
            Dialect::Gnu => (moment(&block[345..357]), moment(&block[357..369])),
            Dialect::Star => (moment(&block[476..488]), moment(&block[488..500])),
            Dialect::V7 | Dialect::Ustar => (None, None),
        };
        Self {
            type_flag: fields.type_flag,
            mode: fields.mode,
            size: fields.size,
            device: fields.device,
            has_link: !fields.link.is_empty(),
            access,
            change,
            has_foreign,
        }
    }

    fn apply(&mut self, records: &Records) -> Option<()> {
        let size = text(records, b"size");
        if !size.is_empty() {
            self.size = decimal(size)?;
        }
        for (key, field) in [
            (b"atime".as_slice(), &mut self.access),
            (b"ctime", &mut self.change),
        ] {
            let value = text(records, key);
            if !value.is_empty() {
                *field = Some(time(value)?);
            }
        }
        if !text(records, b"linkpath").is_empty() {
            self.has_link = true;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, EntryKind, encode_header};

    fn header(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_header(entry, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn our_own_headers_have_no_surprises() {
        let mut entry = Entry::new("a/".repeat(150) + "b", EntryKind::File);
        (entry.mode, entry.size) = (0o4755, 12);
        let detail = Detail::read(&header(&entry)).unwrap();
        let expected = Detail {
            type_flag: b'0',
            mode: 0o4755,
            size: 12,
            device: (0, 0),
            has_link: false,
            access: None,
            change: None,
            has_foreign: false,
        };
        assert_eq!(detail, expected);
        assert_eq!(Detail::read(&header(&entry)[..100]), None);
    }

    #[test]
    fn times_of_pax_records_are_read() {
        let mut records = Vec::new();
        pax::push_record(&mut records, b"atime", b"12.5");
        pax::push_record(&mut records, b"size", b"77");
        let mut pax = Entry::new("x", EntryKind::File);
        pax.size = records.len() as u64;
        let mut bytes = header(&pax);
        bytes[156] = b'x';
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&records);
        bytes.resize(1024, 0);
        bytes.extend_from_slice(&header(&Entry::new("x", EntryKind::File)));
        let detail = Detail::read(&bytes).unwrap();
        assert_eq!(detail.size, 77);
        let moment = Timestamp {
            seconds: 12,
            nanoseconds: 500_000_000,
        };
        assert_eq!((detail.access, detail.change), (Some(moment), None));
    }
}
