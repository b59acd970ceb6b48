//! What patterns mean, by trying every way: the plainest reading of `rust/context`'s rules, to
//! compare its matchers with.

use Letter::Character as C;

/// Text as the matchers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Character(char),
    /// One that is part of no character.
    Byte(u8),
}

/// A pattern's next element.
enum Element {
    Literal(Letter),
    Any,
    Star,
    /// `**` or `**/`: directories with their slashes, or nothing.
    Directories,
    /// `**` at the end: all the rest.
    Rest,
    Class(bool, Vec<(char, char)>),
    End,
    Bad,
}

/// The letters of a text.
pub(crate) fn letters(bytes: &[u8]) -> Vec<Letter> {
    let mut letters = Vec::new();
    for chunk in bytes.utf8_chunks() {
        letters.extend(chunk.valid().chars().map(C));
        letters.extend(chunk.invalid().iter().copied().map(Letter::Byte));
    }
    letters
}

/// Whether all of `text` matches `pattern`; `None` for a pattern that cannot be understood.
/// `doubled` says that two stars mean any directories.
pub(crate) fn matches(pattern: &[Letter], text: &[Letter], doubled: bool) -> Option<bool> {
    // Each pair of places is decided once, from the end.
    let mut known = vec![vec![None; text.len() + 1]; pattern.len() + 1];
    decide(pattern, text, doubled, 0, 0, &mut known)
}

fn decide(
    pattern: &[Letter],
    text: &[Letter],
    doubled: bool,
    at: usize,
    from: usize,
    known: &mut Vec<Vec<Option<Option<bool>>>>,
) -> Option<bool> {
    if let Some(verdict) = known[at][from] {
        return verdict;
    }
    let (element, next) = read(pattern, at, doubled);
    let mut after = |from| decide(pattern, text, doubled, next, from, known);
    let here = text.get(from);
    let verdict = match element {
        Element::Bad => None,
        Element::End => Some(from == text.len()),
        Element::Rest => Some(true),
        Element::Literal(character) => one(here == Some(&character), after(from_next(from, text))),
        Element::Any => {
            let fits = here.is_some_and(|character| *character != C('/'));
            one(fits, after(from_next(from, text)))
        }
        Element::Class(negated, ranges) => {
            let fits = here.is_some_and(|character| {
                let inside = match character {
                    C(character) => ranges
                        .iter()
                        .any(|(first, last)| (first..=last).contains(&character)),
                    Letter::Byte(_) => false,
                };
                inside != negated
            });
            one(fits, after(from_next(from, text)))
        }
        Element::Star => {
            let name = text[from..]
                .iter()
                .take_while(|character| **character != C('/'));
            let end = from + name.count();
            any((from..=end).map(after))
        }
        Element::Directories => {
            let ends = (from..text.len()).filter(|place| text[*place] == C('/'));
            any([from]
                .into_iter()
                .chain(ends.map(|place| place + 1))
                .map(after))
        }
    };
    known[at][from] = Some(verdict);
    verdict
}

/// Whatever the text is, a pattern must be understood to its end.
fn one(fits: bool, rest: Option<bool>) -> Option<bool> {
    rest.map(|rest| fits && rest)
}

fn any(mut verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    verdicts.try_fold(false, |sum, verdict| Some(sum | verdict?))
}

fn from_next(from: usize, text: &[Letter]) -> usize {
    (from + 1).min(text.len())
}

/// The element at `at`, and the place after it.
fn read(pattern: &[Letter], at: usize, doubled: bool) -> (Element, usize) {
    match &pattern[at..] {
        [] => (Element::End, at),
        [C('*'), C('*')] if doubled => (Element::Rest, at + 2),
        [C('*'), C('*'), C('/')] if doubled => (Element::Rest, at + 3),
        [C('*'), C('*'), C('/'), ..] if doubled => (Element::Directories, at + 3),
        [C('*'), C('*'), ..] if doubled => (Element::Directories, at + 2),
        [C('*'), ..] => (Element::Star, at + 1),
        [C('?'), ..] => (Element::Any, at + 1),
        [C('\\')] => (Element::Bad, at),
        [C('\\'), character, ..] => (Element::Literal(*character), at + 2),
        [C('['), ..] => class(pattern, at + 1, doubled),
        [character, ..] => (Element::Literal(*character), at + 1),
    }
}

fn class(pattern: &[Letter], mut at: usize, strict: bool) -> (Element, usize) {
    let bad = (Element::Bad, at);
    let negated = pattern.get(at) == Some(&C('^'));
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        if pattern.get(at) == Some(&C(']')) && !ranges.is_empty() {
            return (Element::Class(negated, ranges), at + 1);
        }
        let Some((first, next)) = class_character(pattern, at) else {
            return bad;
        };
        at = next;
        let mut last = first;
        if pattern.get(at) == Some(&C('-')) {
            let Some((end, next)) = class_character(pattern, at + 1) else {
                return bad;
            };
            (last, at) = (end, next);
        }
        if strict && last < first {
            return bad;
        }
        ranges.push((first, last));
    }
}

fn class_character(pattern: &[Letter], at: usize) -> Option<(char, usize)> {
    match &pattern[at..] {
        [C('-' | ']'), ..] => None,
        [C('\\'), C(character), ..] => Some((*character, at + 2)),
        [C('\\'), ..] => None,
        [C(character), ..] => Some((*character, at + 1)),
        [Letter::Byte(_), ..] | [] => None,
    }
}
