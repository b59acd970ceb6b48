//! The wildcards of `COPY` and `ADD`: what Go's `filepath.Match` accepts and means.
//!
//! `*` and `?` do not match a slash, `[…]` is a class with `^` for "not", `\` takes the next
//! character as it is. The whole name must match. A pattern is checked to its end even when the
//! name cannot match.

use crate::error::Result;
use crate::pattern::{self, Unit, bad_pattern, decode};

/// True when all of `name` matches `pattern`.
///
/// # Errors
/// [`crate::Error::Pattern`] where the pattern cannot be understood.
pub fn matches(pattern: &[u8], name: &[u8]) -> Result<bool> {
    Ok(Wildcard::new(pattern)?.matches(name))
}

/// True when a path has characters that mean something to [`matches`]: otherwise it is a name.
pub fn is_wildcard(path: &[u8]) -> bool {
    let mut escaped = false;
    path.iter().any(|&byte| {
        let special = !escaped && matches!(byte, b'*' | b'?' | b'[');
        escaped = !escaped && byte == b'\\';
        special
    })
}

/// A pattern that was understood, for many names.
#[derive(Clone, Debug)]
pub struct Wildcard {
    units: Vec<Unit>,
}

impl Wildcard {
    /// Reads `pattern`.
    ///
    /// # Errors
    /// [`crate::Error::Pattern`] where it cannot be understood.
    pub fn new(pattern: &[u8]) -> Result<Self> {
        let mut units = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match first {
                b'*' => units.push(Unit::Star),
                b'?' => units.push(Unit::AnyInName),
                b'[' => {
                    let (class, after) = pattern::class(pattern, rest, false)?;
                    units.push(class);
                    rest = after;
                }
                b'\\' if rest.is_empty() => {
                    return Err(bad_pattern(pattern, "it ends in a backslash"));
                }
                _ => {
                    let text = if first == b'\\' {
                        rest
                    } else {
                        rest_with(pattern, rest)
                    };
                    let (letter, length) = decode(text);
                    units.push(Unit::Letter(letter));
                    rest = &text[length..];
                }
            }
        }
        Ok(Self { units })
    }

    /// True when all of `name` matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        pattern::matches(&self.units, name)
    }
}

/// The text from one byte before `rest`, which is the end of `pattern`.
fn rest_with<'text>(pattern: &'text [u8], rest: &[u8]) -> &'text [u8] {
    &pattern[pattern.len() - rest.len() - 1..]
}
