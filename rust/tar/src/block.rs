//! The 512-byte header block: its five dialects and its fields.
//!
//! A block is believed when its checksum agrees; its magic then says how the second half is to be
//! read. Nothing here knows of extended headers.

use crate::error::ErrorKind;
use crate::number::{numeric, octal, until_nul};

/// Bytes of a block; every header and every content is filled up to a multiple of it.
pub const BLOCK_SIZE: usize = 512;

/// Bytes between a content of `size` bytes and the next header.
pub const fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_SIZE as u64) as usize
}

/// Who wrote the block, as far as its layout is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// No magic: only the first half is used.
    V7,
    /// POSIX, also under PAX.
    Ustar,
    /// Schily's star: a shorter prefix, then two times.
    Star,
    /// Old GNU: no prefix, two times, a map of sparse files.
    Gnu,
}

/// The fields of a block, not yet overridden by extended headers. Numbers may be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    pub dialect: Dialect,
    pub type_flag: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub size: i64,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    pub mtime: i64,
    pub device: (i64, i64),
}

/// Whether a block has only zeros.
pub fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Read a block.
pub fn decode(block: &[u8; BLOCK_SIZE]) -> Result<Fields, ErrorKind> {
    if !checksum_matches(block) {
        return Err(ErrorKind::Checksum);
    }
    let dialect = dialect(block);
    let mut fields = Fields {
        dialect,
        type_flag: block[156],
        name: until_nul(&block[..100]).to_vec(),
        link: until_nul(&block[157..257]).to_vec(),
        mode: number(&block[100..108], "mode")?,
        uid: number(&block[108..116], "uid")?,
        gid: number(&block[116..124], "gid")?,
        size: number(&block[124..136], "size")?,
        mtime: number(&block[136..148], "mtime")?,
        device: (0, 0),
    };
    if dialect == Dialect::V7 {
        return Ok(fields);
    }
    fields.device = (
        number(&block[329..337], "devmajor")?,
        number(&block[337..345], "devminor")?,
    );
    let prefix = prefix(block, dialect)?;
    if !prefix.is_empty() {
        fields.name = [prefix, b"/", &fields.name].concat();
    }
    Ok(fields)
}

fn number(field: &[u8], name: &'static str) -> Result<i64, ErrorKind> {
    numeric(field).ok_or(ErrorKind::Number { field: name })
}

/// The sum of all bytes with the checksum itself as blanks. Sun's tar added signed bytes, so
/// either sum will do.
fn checksum_matches(block: &[u8; BLOCK_SIZE]) -> bool {
    let field = &block[148..156];
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let high = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte >> 7)).sum::<u32>();
    let unsigned = sum(block) - sum(field) + 8 * u32::from(b' ');
    let Some(stored) = octal(field) else {
        return false;
    };
    if stored == u64::from(unsigned) {
        return true;
    }
    let signed = i64::from(unsigned) - 256 * i64::from(high(block) - high(field));
    i64::try_from(stored).is_ok_and(|stored| stored == signed)
}

fn dialect(block: &[u8; BLOCK_SIZE]) -> Dialect {
    match &block[257..265] {
        b"ustar  \0" => Dialect::Gnu,
        [b'u', b's', b't', b'a', b'r', 0, ..] if &block[508..] == b"tar\0" => Dialect::Star,
        [b'u', b's', b't', b'a', b'r', 0, ..] => Dialect::Ustar,
        _ => Dialect::V7,
    }
}

/// The part of the name that stands in front of the name field.
fn prefix(block: &[u8; BLOCK_SIZE], dialect: Dialect) -> Result<&[u8], ErrorKind> {
    Ok(match dialect {
        Dialect::V7 => b"",
        Dialect::Ustar => until_nul(&block[345..500]),
        Dialect::Star => {
            number(&block[476..488], "atime")?;
            number(&block[488..500], "ctime")?;
            until_nul(&block[345..476])
        }
        Dialect::Gnu => {
            // Go before 1.8 wrote a prefix where GNU keeps two times. If they are no times and
            // the text is ASCII, it is that prefix: Docker's reader thinks so too.
            let times = [&block[345..357], &block[357..369]];
            let are_times = times
                .iter()
                .all(|field| field[0] == 0 || numeric(field).is_some());
            let prefix = until_nul(&block[345..500]);
            if are_times || !prefix.is_ascii() {
                b""
            } else {
                prefix
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(change: impl Fn(&mut [u8; BLOCK_SIZE])) -> [u8; BLOCK_SIZE] {
        let mut block = [0; BLOCK_SIZE];
        block[..4].copy_from_slice(b"name");
        block[156] = b'0';
        change(&mut block);
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    #[test]
    fn padding_fills_up_to_the_block() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size), expected, "{size}");
        }
        assert_eq!(padding(u64::MAX), 1);
    }

    #[test]
    fn each_dialect_has_its_own_prefix() {
        let cases = [
            ("", "", Dialect::V7, "name"),
            ("ustar\x0000", "", Dialect::Ustar, "dir/name"),
            ("ustar\x0000", "tar\0", Dialect::Star, "dir/name"),
            ("ustar  \0", "", Dialect::Gnu, "dir/name"),
        ];
        for (magic, trailer, dialect, name) in cases {
            let (magic, trailer) = (magic.as_bytes(), trailer.as_bytes());
            let block = block(|block| {
                block[257..257 + magic.len()].copy_from_slice(magic);
                block[345..348].copy_from_slice(b"dir");
                block[508..508 + trailer.len()].copy_from_slice(trailer);
            });
            let fields = decode(&block).unwrap();
            assert_eq!(
                (fields.dialect, fields.name.as_slice()),
                (dialect, name.as_bytes())
            );
        }
    }

    #[test]
    fn gnu_times_are_no_prefix() {
        let block = block(|block| {
            block[257..265].copy_from_slice(b"ustar  \0");
            block[345..357].copy_from_slice(b"13374470711\0");
        });
        assert_eq!(decode(&block).unwrap().name, b"name");
    }

    #[test]
    fn signed_and_unsigned_checksums_are_accepted() {
        let mut block = block(|block| block[0] = 0xff);
        assert!(decode(&block).is_ok());
        let sum: i32 = (block.iter().enumerate())
            .map(|(index, &byte)| match index {
                148..156 => 32,
                _ => i32::from(byte as i8),
            })
            .sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(decode(&block).is_ok());
        block[1] ^= 1;
        assert_eq!(decode(&block), Err(ErrorKind::Checksum));
    }

    #[test]
    fn bad_numbers_are_named() {
        let block = block(|block| block[108..116].copy_from_slice(b"12x4567\0"));
        assert_eq!(decode(&block), Err(ErrorKind::Number { field: "uid" }));
    }
}
