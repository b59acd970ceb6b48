//! The ways in which tar writes numbers: octal text, base-256, decimal text and decimal times.
//!
//! All of them are read as Go's archive/tar does, so that an archive means here what it means to
//! Docker; `None` is a malformed number.

use crate::entry::Timestamp;

/// A header field: base-256 when its first bit is set (GNU), else octal.
pub fn numeric(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => i64::try_from(octal(field)?).ok(),
    }
}

/// Octal digits among blanks and NULs; what follows an inner NUL is not looked at. An empty field
/// is 0.
pub fn octal(field: &[u8]) -> Option<u64> {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let Some(first) = field.iter().position(|byte| !is_blank(byte)) else {
        return Some(0);
    };
    let last = field.iter().rposition(|byte| !is_blank(byte))?;
    let digits = until_nul(&field[first..=last]);
    let mut value: u64 = 0;
    for &byte in digits {
        if !(b'0'..=b'7').contains(&byte) || value >> 61 != 0 {
            return None;
        }
        value = value << 3 | u64::from(byte - b'0');
    }
    Some(value)
}

/// Two's complement, big-endian, behind a marker bit.
fn base256(field: &[u8]) -> Option<i64> {
    let inversion = if field.first()? & 0x40 != 0 { 0xff } else { 0 };
    let mut value: u64 = 0;
    for (index, &byte) in field.iter().enumerate() {
        let mut digit = byte ^ inversion;
        if index == 0 {
            digit &= 0x7f;
        }
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(digit);
    }
    let value = i64::try_from(value).ok()?;
    Some(if inversion == 0 { value } else { !value })
}

/// Decimal digits with an optional sign and nothing else.
pub fn decimal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(byte - b'0');
        value = value.checked_mul(10)?;
        value = if negative {
            value.checked_sub(digit)?
        } else {
            value.checked_add(digit)?
        };
    }
    Some(value)
}

/// A PAX time: seconds with a fraction of any length, of which nine digits count. The fraction of
/// a negative time leads further back: `-1.25` is 750 ms after second -2.
pub fn time(text: &[u8]) -> Option<Timestamp> {
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &text[text.len()..]),
    };
    let seconds = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    let nanoseconds = digits
        .take(9)
        .fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    if nanoseconds != 0 && whole.first() == Some(&b'-') {
        return Some(Timestamp {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}

/// A text field up to its first NUL; the whole field when it has none.
pub fn until_nul(field: &[u8]) -> &[u8] {
    match field.iter().position(|&byte| byte == 0) {
        Some(end) => &field[..end],
        None => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields_are_read_as_writers_fill_them() {
        let table: [(&[u8], Option<u64>); 9] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"12\0 8x\0\0", Some(0o12)),
            (b"\x001\0\0", Some(1)),
            (b"0000648\0", None),
            (b"-000001\0", None),
        ];
        for (field, value) in table {
            assert_eq!(octal(field), value, "{}", field.escape_ascii());
        }
        assert_eq!(octal(b"1777777777777777777777"), Some(u64::MAX));
        assert_eq!(octal(b"2000000000000000000000"), None);
    }

    #[test]
    fn base256_fields_have_a_sign_and_a_range() {
        let table: [(&[u8], Option<i64>); 7] = [
            (b"\x80\0\0\0\xff\xff\xff\xfe", Some(4_294_967_294)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x02\0", Some(512)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
                Some(-2),
            ),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX),
            ),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
        ];
        for (field, value) in table {
            assert_eq!(numeric(field), value, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn decimals_are_digits_with_a_sign() {
        let table: [(&[u8], Option<i64>); 9] = [
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"-12", Some(-12)),
            (b"+12", Some(12)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"", None),
            (b"1 ", None),
        ];
        for (text, value) in table {
            assert_eq!(decimal(text), value, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn times_count_nanoseconds_forwards() {
        let table = [
            ("1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            ("1350244992.3", Some((1_350_244_992, 300_000_000))),
            ("1.", Some((1, 0))),
            ("1.0000000019", Some((1, 1))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("-3.000", Some((-3, 0))),
            (".5", None),
            ("1.5a", None),
            ("1.5.5", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(seconds, nanoseconds)| Timestamp {
                seconds,
                nanoseconds,
            });
            assert_eq!(time(text.as_bytes()), expected, "{}", text.escape_debug());
        }
    }
}
