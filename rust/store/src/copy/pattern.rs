//! The source words of COPY and ADD: cleaned, cut into components, matched against a tree.
//!
//! A word is relative to the root of its tree whatever its head says: `/a`, `../a` and `./a` are
//! `a`. Wildcards are Go's `filepath.Match`, component by component; `**` matches any number of
//! components and is known with `--parents` only.

use fastlayer_context::wildcard;

use crate::error::{Error, Result};

/// A source word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Cleaned components; wildcards and escapes as written.
    pub(super) components: Vec<Vec<u8>>,
    /// How many leading components are not repeated below the destination (`--parents`).
    pub(super) pivot: usize,
}

impl Pattern {
    /// Cleans a word; with `parents` a component `.` inside it is the pivot.
    pub(super) fn parse(word: &[u8], parents: bool) -> Self {
        let mut components: Vec<Vec<u8>> = Vec::new();
        let mut pivot = 0;
        let pieces: Vec<&[u8]> = word.split(|byte| *byte == b'/').collect();
        for (place, piece) in pieces.iter().enumerate() {
            match *piece {
                b"" => {}
                b"." => {
                    if parents && place > 0 && place + 1 < pieces.len() {
                        pivot = components.len();
                    }
                }
                b".." => {
                    components.pop();
                    pivot = pivot.min(components.len());
                }
                piece => components.push(piece.to_vec()),
            }
        }
        Self { components, pivot }
    }

    /// Number of leading components without a wildcard.
    pub(super) fn literal_prefix(&self) -> usize {
        self.components
            .iter()
            .take_while(|component| !is_wildcard(component))
            .count()
    }

    /// Whether any component has a wildcard.
    pub(super) fn has_wildcard(&self) -> bool {
        self.literal_prefix() < self.components.len()
    }

    /// The leading `count` components as a path, escapes removed.
    pub(super) fn literal_path(&self, count: usize) -> Vec<u8> {
        let literals: Vec<Vec<u8>> = self.components[..count]
            .iter()
            .map(|component| unescape(component))
            .collect();
        literals.join(&b'/')
    }
}

/// Whether a component of a path matches one of a pattern.
pub(super) fn component_matches(pattern: &[u8], name: &[u8]) -> Result<bool> {
    wildcard::matches(pattern, name)
        .map_err(|error| Error::source(pattern, format!("bad pattern: {error}")))
}

fn is_wildcard(component: &[u8]) -> bool {
    let mut escaped = false;
    for byte in component {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

fn unescape(component: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(component.len());
    let mut bytes = component.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(word: &str, parents: bool) -> (String, usize) {
        let pattern = Pattern::parse(word.as_bytes(), parents);
        let path = pattern.components.join(&b'/');
        (String::from_utf8(path).unwrap(), pattern.pivot)
    }

    #[test]
    fn heads_are_dropped() {
        for (word, path) in [
            ("/a/b", "a/b"),
            ("../../a", "a"),
            ("a/../../b", "b"),
            ("./", ""),
            (".", ""),
            ("a/./b/", "a/b"),
        ] {
            assert_eq!(clean(word, false), (path.to_owned(), 0), "{word}");
        }
    }

    #[test]
    fn the_pivot_is_the_last_inner_dot() {
        assert_eq!(clean("a/./b/c", true), ("a/b/c".to_owned(), 1));
        assert_eq!(clean("./a/b", true), ("a/b".to_owned(), 0));
        assert_eq!(clean("a/b/.", true), ("a/b".to_owned(), 0));
        assert_eq!(clean("a/./b/./c", true), ("a/b/c".to_owned(), 2));
    }

    #[test]
    fn escaped_wildcards_are_literal() {
        let pattern = Pattern::parse(br"a\*b/\[c", false);
        assert!(!pattern.has_wildcard());
        assert_eq!(pattern.literal_path(2), b"a*b/[c");
        assert!(Pattern::parse(b"a/[bc]", false).has_wildcard());
    }
}
