//! Patterns as sequences of units, and running them over a path.
//!
//! All possible places in the pattern are followed at once, so a hostile pattern costs its length
//! for each character of the path and never more. Text is letters: characters, and bytes that are
//! not UTF-8, each of which is a letter that equals only itself.

use crate::error::Error;

/// A character, or [`NOT_UTF8`] and a byte.
pub(crate) type Letter = u32;

/// Where the letters begin that are no characters.
const NOT_UTF8: Letter = 0x11_0000;
const SLASH: Letter = b'/' as Letter;

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// This letter.
    Letter(Letter),
    /// `?`: any letter but a slash.
    AnyInName,
    /// `*`: any number of letters but slashes.
    Star,
    /// Any number of letters.
    Rest,
    /// The first half of `**`: go past both halves, or into [`Unit::Directories`].
    Optional,
    /// The second half of `**`: any number of letters, left only after a slash.
    Directories,
    /// `[…]`: one letter in, or not in, the ranges.
    Class {
        /// `[^…]`.
        negated: bool,
        /// First and last of each range.
        ranges: Vec<(Letter, Letter)>,
    },
}

/// How many machine words hold the places of a pattern without an allocation.
const WORDS: usize = 4;

/// True when the whole of `text` matches.
pub(crate) fn matches(units: &[Unit], text: &[u8]) -> bool {
    run(units, text, |units, places| contains(places, units.len()))
}

/// True when some longer text that begins with `text` might match.
pub(crate) fn could_continue(units: &[Unit], text: &[u8]) -> bool {
    run(units, text, |units, places| {
        (0..units.len()).any(|place| contains(places, place))
    })
}

fn run(units: &[Unit], text: &[u8], verdict: impl Fn(&[Unit], &[u64]) -> bool) -> bool {
    let words = units.len() / 64 + 1;
    if words <= WORDS {
        let (mut now, mut next) = ([0; WORDS], [0; WORDS]);
        return follow(units, text, &mut now[..words], &mut next[..words], verdict);
    }
    let (mut now, mut next) = (vec![0; words], vec![0; words]);
    follow(units, text, &mut now, &mut next, verdict)
}

fn follow<'places>(
    units: &[Unit],
    mut text: &[u8],
    mut now: &'places mut [u64],
    mut next: &'places mut [u64],
    verdict: impl Fn(&[Unit], &[u64]) -> bool,
) -> bool {
    enter(units, now, 0);
    while !text.is_empty() {
        let (letter, length) = decode(text);
        text = &text[length..];
        next.fill(0);
        let mut alive = false;
        for place in places(now) {
            if let Some(unit) = units.get(place) {
                alive |= step(units, unit, place, letter, next);
            }
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut now, &mut next);
    }
    verdict(units, now)
}

/// Consumes one letter at `place`; true when the pattern can go on.
fn step(units: &[Unit], unit: &Unit, place: usize, letter: Letter, next: &mut [u64]) -> bool {
    let goes_on = match unit {
        Unit::Letter(expected) => *expected == letter,
        Unit::AnyInName => letter != SLASH,
        Unit::Class { negated, ranges } => {
            let inside = ranges
                .iter()
                .any(|&(first, last)| (first..=last).contains(&letter));
            inside != *negated
        }
        Unit::Star if letter == SLASH => false,
        Unit::Star | Unit::Rest => {
            enter(units, next, place);
            return true;
        }
        Unit::Directories => {
            set(next, place);
            if letter == SLASH {
                enter(units, next, place + 1);
            }
            return true;
        }
        // Was left at once for both of its continuations.
        Unit::Optional => false,
    };
    if goes_on {
        enter(units, next, place + 1);
    }
    goes_on
}

/// Marks `place` and whatever can be reached from it without a letter.
fn enter(units: &[Unit], places: &mut [u64], place: usize) {
    let mut at = place;
    loop {
        if contains(places, at) {
            return;
        }
        set(places, at);
        match units.get(at) {
            Some(Unit::Star | Unit::Rest) => at += 1,
            Some(Unit::Optional) => {
                set(places, at + 1);
                at += 2;
            }
            _ => return,
        }
    }
}

fn set(places: &mut [u64], place: usize) {
    places[place / 64] |= 1 << (place % 64);
}

fn contains(places: &[u64], place: usize) -> bool {
    places[place / 64] & (1 << (place % 64)) != 0
}

fn places(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(index, &word)| {
        let mut left = word;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            Some(index * 64 + bit)
        })
    })
}

/// The first letter of `text` and its length in bytes.
pub(crate) fn decode(text: &[u8]) -> (Letter, usize) {
    let first = text[0];
    if first.is_ascii() {
        return (first.into(), 1);
    }
    let longest = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(longest) {
        Ok(valid) => valid,
        // The cut may have gone through the next character.
        Err(error) => std::str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid
        .chars()
        .next()
        .map_or((NOT_UTF8 + Letter::from(first), 1), |character| {
            (character.into(), character.len_utf8())
        })
}

/// Appends the bytes of a letter.
pub(crate) fn encode(letter: Letter, bytes: &mut Vec<u8>) {
    match char::from_u32(letter) {
        Some(character) => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        // The low byte, which is all that such a letter has.
        None => bytes.push(letter.to_le_bytes()[0]),
    }
}

/// Reads a `[…]` whose `[` is consumed. `strict` refuses ranges that end before they begin.
pub(crate) fn class<'text>(
    pattern: &[u8],
    mut rest: &'text [u8],
    strict: bool,
) -> Result<(Unit, &'text [u8]), Error> {
    let bad = |reason| bad_pattern(pattern, reason);
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&b']') && !ranges.is_empty() {
            return Ok((Unit::Class { negated, ranges }, &rest[1..]));
        }
        let (first, after) = class_letter(pattern, rest)?;
        rest = after;
        let mut last = first;
        if rest.first() == Some(&b'-') {
            (last, rest) = class_letter(pattern, &rest[1..])?;
        }
        if strict && last < first {
            return Err(bad("a range in brackets ends before it begins"));
        }
        ranges.push((first, last));
    }
}

fn class_letter<'text>(pattern: &[u8], text: &'text [u8]) -> Result<(Letter, &'text [u8]), Error> {
    let bad = |reason| bad_pattern(pattern, reason);
    let text = match text {
        [] => return Err(bad("a bracket is not closed")),
        [b'-' | b']', ..] => return Err(bad("a range in brackets is not complete")),
        [b'\\', rest @ ..] => rest,
        _ => text,
    };
    if text.is_empty() {
        return Err(bad("it ends in a backslash"));
    }
    let (letter, length) = decode(text);
    if letter >= NOT_UTF8 {
        return Err(bad("it is not UTF-8"));
    }
    let rest = &text[length..];
    if rest.is_empty() {
        return Err(bad("a bracket is not closed"));
    }
    Ok((letter, rest))
}

pub(crate) fn bad_pattern(pattern: &[u8], reason: &'static str) -> Error {
    Error::Pattern {
        pattern: String::from_utf8_lossy(pattern).into_owned(),
        reason,
    }
}
