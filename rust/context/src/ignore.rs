//! Ignore rules: which paths of a context are left out.
//!
//! The rules of `.dockerignore` as moby's patternmatcher applies them during a walk: patterns are
//! tried in order and the last that matches wins; a pattern that matches a directory covers what
//! is below it; `!` puts back; `*` and `?` stay inside a name, `**` spans any number of
//! directories. A pattern that only a state of the parents decides is tried where the walk is, so
//! the answer for a path is that of walking down to it.
//!
//! Three things differ from the original on purpose: a character class means what it means in
//! [`crate::wildcard`], an escaped letter is that letter, and a reversed range is refused at once
//! instead of when it is first tried.

use crate::error::{Error, Result};
use crate::pattern::{self, Unit, bad_pattern, decode};
use crate::wildcard::Wildcard;

/// An ordered list of ignore patterns. Also used the other way round, to choose what is copied.
#[derive(Clone, Debug, Default)]
pub struct IgnoreMatcher {
    patterns: Vec<Pattern>,
    has_exceptions: bool,
}

/// Which patterns matched a directory or one above it; what its entries start from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchState {
    matched: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Pattern {
    exception: bool,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// No wildcards: the path itself.
    Exact(Vec<u8>),
    /// `…**`: everything that begins so.
    Prefix(Vec<u8>),
    /// `**…`: everything that ends so.
    Suffix(Vec<u8>),
    /// Anything else, with the literal text that a match must end in.
    Units { units: Vec<Unit>, ending: Vec<u8> },
}

impl IgnoreMatcher {
    /// Reads the patterns of an ignore file, in order. Blanks around them and empty ones are
    /// dropped, paths are cleaned, a leading slash is removed.
    ///
    /// # Errors
    /// [`Error::Pattern`] for a lone `!` and for a pattern that cannot be understood.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut matcher = Self::default();
        for given in patterns {
            let given = given.as_ref().trim_ascii();
            if given.is_empty() {
                continue;
            }
            let (exception, text) = match given.strip_prefix(b"!") {
                Some(text) => (true, text.trim_ascii()),
                None => (false, given),
            };
            if text.is_empty() {
                return Err(bad_pattern(
                    given,
                    "there is nothing after the exclamation mark",
                ));
            }
            let form = Form::new(given, &clean(text))?;
            matcher.has_exceptions |= exception;
            matcher.patterns.push(Pattern { exception, form });
        }
        Ok(matcher)
    }

    /// True when there is no pattern, so nothing is ignored.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True when any pattern puts paths back.
    pub fn has_exceptions(&self) -> bool {
        self.has_exceptions
    }

    /// Whether `path`, relative to the root, matches: for an ignore file, is left out. The root
    /// itself (empty or `.`) never does.
    pub fn is_ignored(&self, path: &[u8]) -> bool {
        self.state_of(path).0
    }

    /// Whether `path` matches, and the state that its entries start from.
    pub fn state_of(&self, path: &[u8]) -> (bool, MatchState) {
        let (mut above, mut own) = (MatchState::default(), MatchState::default());
        if path.is_empty() || path == b"." {
            return (false, own);
        }
        for end in 1..path.len() {
            if path[end] == b'/' {
                self.evaluate(&path[..end], &above, &mut own);
                std::mem::swap(&mut above, &mut own);
            }
        }
        let ignored = self.evaluate(path, &above, &mut own);
        (ignored, own)
    }

    /// Whether `path` matches, given the state of the directory it is in (the root's is the
    /// default one); puts into `own` the state for what is below it.
    pub fn evaluate(&self, path: &[u8], above: &MatchState, own: &mut MatchState) -> bool {
        own.matched.clear();
        let mut ignored = false;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = above.matched.get(index).copied().unwrap_or(false);
            // A pattern that could not change the verdict is not tried.
            let is_match =
                inherited || (pattern.exception == ignored && pattern.form.matches(path));
            own.matched.push(is_match);
            if is_match {
                ignored = !pattern.exception;
            }
        }
        ignored
    }

    /// False when no exception can match anything below the ignored directory `path`, so that it
    /// need not be looked into.
    pub fn could_put_back_below(&self, path: &[u8]) -> bool {
        self.has_exceptions && self.any_could_match_below(path, true)
    }

    /// False when no pattern (other than exceptions) can match anything below the directory
    /// `path`, which itself does not match: for lists of what is to be copied.
    pub fn could_match_below(&self, path: &[u8]) -> bool {
        self.any_could_match_below(path, false)
    }

    fn any_could_match_below(&self, path: &[u8], exception: bool) -> bool {
        let mut inside = path.to_vec();
        inside.push(b'/');
        self.patterns
            .iter()
            .filter(|pattern| pattern.exception == exception)
            .any(|pattern| pattern.form.could_match_below(&inside))
    }
}

impl Form {
    fn new(given: &[u8], text: &[u8]) -> Result<Self> {
        // Whatever Go's filepath.Match refuses is refused, as moby does.
        Wildcard::new(text).map_err(|error| renamed(error, given))?;
        let units = compile(given, text)?;
        let literal = |bytes: &[u8]| !bytes.iter().any(|byte| b"*?[]\\".contains(byte));
        Ok(match (text.strip_suffix(b"**"), text.strip_prefix(b"**")) {
            _ if literal(text) => Self::Exact(text.to_vec()),
            (_, Some(ending)) if literal(ending) => Self::Suffix(ending.to_vec()),
            (Some(beginning), _) if literal(beginning) => Self::Prefix(beginning.to_vec()),
            _ => Self::Units {
                ending: ending(&units),
                units,
            },
        })
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(beginning) => path.starts_with(beginning),
            Self::Suffix(ending) => {
                path.ends_with(ending) || ending.strip_prefix(b"/") == Some(path)
            }
            Self::Units { units, ending } => {
                path.ends_with(ending) && pattern::matches(units, path)
            }
        }
    }

    /// `inside` is a directory with a slash at its end.
    fn could_match_below(&self, inside: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.starts_with(inside),
            Self::Prefix(beginning) => {
                beginning.starts_with(inside) || inside.starts_with(beginning)
            }
            Self::Suffix(_) => true,
            Self::Units { units, .. } => pattern::could_continue(units, inside),
        }
    }
}

fn compile(given: &[u8], text: &[u8]) -> Result<Vec<Unit>> {
    let mut units = Vec::with_capacity(text.len() + 1);
    let mut rest = text;
    while !rest.is_empty() {
        match rest {
            [b'*', b'*', after @ ..] => {
                rest = after.strip_prefix(b"/").unwrap_or(after);
                if rest.is_empty() {
                    units.push(Unit::Rest);
                } else {
                    units.extend([Unit::Optional, Unit::Directories]);
                }
            }
            [b'*', after @ ..] => {
                units.push(Unit::Star);
                rest = after;
            }
            [b'?', after @ ..] => {
                units.push(Unit::AnyInName);
                rest = after;
            }
            [b'[', after @ ..] => {
                let (class, after) = pattern::class(given, after, true)?;
                units.push(class);
                rest = after;
            }
            _ => {
                let text = rest.strip_prefix(b"\\").unwrap_or(rest);
                let (letter, length) = decode(text);
                units.push(Unit::Letter(letter));
                rest = &text[length..];
            }
        }
    }
    Ok(units)
}

/// The text that every match ends in: a cheap look that rules most paths out.
fn ending(units: &[Unit]) -> Vec<u8> {
    let literal = units
        .iter()
        .rposition(|unit| !matches!(unit, Unit::Letter(_)));
    let mut text = Vec::new();
    for unit in &units[literal.map_or(0, |last| last + 1)..] {
        if let Unit::Letter(letter) = unit {
            pattern::encode(*letter, &mut text);
        }
    }
    text
}

fn renamed(error: Error, given: &[u8]) -> Error {
    match error {
        Error::Pattern { reason, .. } => bad_pattern(given, reason),
        other => other,
    }
}

/// Go's `filepath.Clean`, without a leading slash.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            _ => kept.push(name),
        }
    }
    if kept.is_empty() && !rooted {
        return b".".to_vec();
    }
    kept.join(&b'/')
}
