//! The records of PAX extended headers: `LENGTH KEY=VALUE\n`, framed by their length.
//!
//! A value may hold anything, newlines, `=` and NUL included: it is never searched for a
//! delimiter. A header that is not exactly a sequence of records is refused, since skipping what
//! one does not understand is how readers come to disagree about an archive.

use std::collections::BTreeMap;

/// The records of one header by key; of records with one key the last counts.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Key prefix of extended attributes.
pub const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// The key under which the pieces of sparse format 0.0 are gathered; 0.1 writes it itself.
pub const SPARSE_MAP: &[u8] = b"GNU.sparse.map";

/// Keys whose values are C strings to everyone else.
const TEXT_KEYS: [&[u8]; 4] = [b"path", b"linkpath", b"uname", b"gname"];

/// A record takes at least `5 k=\n`.
const SHORTEST_RECORD: usize = 5;

/// Read the data of an extended header.
pub fn parse(mut data: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records::new();
    let mut pieces: Vec<&[u8]> = Vec::new();
    while !data.is_empty() {
        let (key, value, rest) = split_record(data)?;
        data = rest;
        match key {
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_offset = key == b"GNU.sparse.offset";
                if is_offset != pieces.len().is_multiple_of(2) {
                    return Err("offsets and lengths of a sparse file do not alternate");
                }
                if value.contains(&b',') {
                    return Err("a number of a sparse file holds a comma");
                }
                pieces.push(value);
            }
            _ => {
                records.insert(key.to_vec(), value.to_vec());
            }
        }
    }
    if !pieces.is_empty() {
        records.insert(SPARSE_MAP.to_vec(), pieces.join(&b','));
    }
    Ok(records)
}

type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Key and value of the first record, and what follows it.
fn split_record(data: &[u8]) -> Result<Record<'_>, &'static str> {
    let blank = data.iter().position(|&byte| byte == b' ');
    let blank = blank.ok_or("a record without a length")?;
    let length = length(&data[..blank]).ok_or("a record's length is not a number")?;
    if length < SHORTEST_RECORD || length <= blank + 1 || length > data.len() {
        return Err("a record's length leads outside the header");
    }
    let (record, rest) = data.split_at(length);
    let Some(record) = record[blank + 1..].strip_suffix(b"\n") else {
        return Err("a record does not end in a newline");
    };
    let equals = record.iter().position(|&byte| byte == b'=');
    let equals = equals.ok_or("a record without =")?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return Err("a record's key is empty or holds a NUL byte");
    }
    if TEXT_KEYS.contains(&key) && value.contains(&0) {
        return Err("a name holds a NUL byte");
    }
    Ok((key, value, rest))
}

/// Plain digits: a sign or blanks here are read differently by others.
fn length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Append a record.
pub fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    // The length counts its own digits: add them until it no longer grows.
    let mut length = body;
    while length != body + digits(length) {
        length = body + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&[u8], &[u8])]) -> Records {
        (pairs.iter())
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }

    #[test]
    fn values_are_framed_by_length_alone() {
        let data = b"26 SCHILY.xattr.a=x\n=\0y\nz\n11 path=ab\n";
        let expected = records(&[(b"SCHILY.xattr.a", b"x\n=\0y\nz"), (b"path", b"ab")]);
        assert_eq!(parse(data), Ok(expected));
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(
            parse(b"10 path=a\n8 path=\n"),
            Ok(records(&[(b"path", b"")]))
        );
    }

    #[test]
    fn sparse_pieces_are_gathered_in_order() {
        let data = b"22 GNU.sparse.offset=1\n24 GNU.sparse.numbytes=2\n";
        assert!(parse(data).is_err(), "the first length is one too short");
        let data = b"23 GNU.sparse.offset=1\n25 GNU.sparse.numbytes=2\n";
        assert_eq!(parse(data), Ok(records(&[(SPARSE_MAP, b"1,2")])));
        assert!(parse(b"25 GNU.sparse.numbytes=2\n").is_err());
    }

    #[test]
    fn whatever_is_not_exactly_records_is_refused() {
        let table: [&[u8]; 15] = [
            b"\0",
            b"x",
            b"10 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"+10 path=a\n",
            b" 10 path=a\n",
            b"-1 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"4 =\n",
            b"6 =ab\n",
            b"7 pat\n",
            b"12 path=a\0b\n",
            b"8 a\0b=c\n",
            b"10 path=a\n\0",
        ];
        for data in table {
            assert!(parse(data).is_err(), "{}", data.escape_ascii());
        }
    }

    #[test]
    fn a_length_counts_its_own_digits() {
        for size in (0..300).chain(9_980..10_010) {
            let value = vec![b'v'; size];
            let mut data = Vec::new();
            push_record(&mut data, b"key", &value);
            assert_eq!(parse(&data), Ok(records(&[(b"key", &value)])), "{size}");
        }
    }
}
