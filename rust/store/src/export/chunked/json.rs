//! The JSON of tables of contents and tar-split data: an object at a time, empty members left out.

use fastlayer_tar::Timestamp;

use crate::error::{Error, Result};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DAY: i64 = 86_400;

/// An object in the making.
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn new() -> Self {
        Self(b"{".to_vec())
    }

    fn key(&mut self, key: &'static str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// Adds a text, unless it is empty.
    pub(super) fn text(&mut self, key: &'static str, value: &str) -> Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        self.key(key);
        string(&mut self.0, value)
    }

    /// Adds a text under any key.
    pub(super) fn any_text(&mut self, key: &str, value: &str) -> Result<()> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        string(&mut self.0, key)?;
        self.0.push(b':');
        string(&mut self.0, value)
    }

    /// Adds a number, unless it is 0.
    pub(super) fn number(&mut self, key: &'static str, value: i64) {
        if value != 0 {
            self.any_number(key, value);
        }
    }

    /// Adds a number.
    pub(super) fn any_number(&mut self, key: &'static str, value: i64) {
        self.key(key);
        self.0.extend_from_slice(value.to_string().as_bytes());
    }

    /// Adds bytes as base64; none are null.
    pub(super) fn bytes(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        if value.is_empty() {
            self.0.extend_from_slice(b"null");
            return;
        }
        self.0.push(b'"');
        push_base64(&mut self.0, value);
        self.0.push(b'"');
    }

    /// Adds an object, unless it is empty.
    pub(super) fn object(&mut self, key: &'static str, value: Self) {
        if value.0.len() > 1 {
            self.key(key);
            self.0.extend_from_slice(&value.end());
        }
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

fn string(output: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(output, text).map_err(|source| Error::io("cannot write JSON", source))
}

/// The text form of bytes.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    push_base64(&mut text, bytes);
    String::from_utf8_lossy(&text).into_owned()
}

fn push_base64(output: &mut Vec<u8>, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            output.push(match place <= group.len() {
                true => DIGITS[(bits >> (18 - 6 * place) & 63) as usize],
                false => b'=',
            });
        }
    }
}

/// A moment as RFC 3339 has it, in UTC; `None` for one outside of the years 0 to 9999.
pub(super) fn moment(time: Timestamp) -> Option<String> {
    let (days, second) = (time.seconds.div_euclid(DAY), time.seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if time.nanoseconds != 0 {
        let fraction = format!(".{:09}", time.nanoseconds);
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    Some(text)
}

/// The date of a day counted from 1970-01-01. Years are counted from March on inside, so that the
/// day that may be missing is the last.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    // Days from 0000-03-01 to 1970-01-01, of 400 years, of 100 years less one, of 4 years.
    let shifted = days.checked_add(719_468)?;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31, 30, 31, 30, 31 days repeat from March on: 153 days in five months.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let text = |seconds, nanoseconds| {
            moment(Timestamp {
                seconds,
                nanoseconds,
            })
        };
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_251_199, 120_000_000, "2024-02-29T23:59:59.12Z"),
            (4_107_542_400, 1, "2100-03-01T00:00:00.000000001Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00Z"),
        ];
        for (seconds, nanoseconds, expected) in cases {
            assert_eq!(text(seconds, nanoseconds).as_deref(), Some(expected));
        }
        assert_eq!(text(253_402_300_800, 0), None);
        assert_eq!(text(-62_167_219_201, 0), None);
        assert_eq!(text(i64::MAX, 0), None);
    }

    #[test]
    fn texts_of_bytes() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn objects() {
        let mut inner = Object::new();
        inner.text("k", "\u{1}\"").unwrap();
        let mut object = Object::new();
        object.number("a", 0);
        object.any_number("b", 0);
        object.bytes("c", &[]);
        object.bytes("d", &[1]);
        object.object("e", Object::new());
        object.object("f", inner);
        let expected = r#"{"b":0,"c":null,"d":"AQ==","f":{"k":"\u0001\""}}"#;
        assert_eq!(String::from_utf8(object.end()).unwrap(), expected);
    }
}
