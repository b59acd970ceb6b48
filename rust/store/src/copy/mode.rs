//! `--chmod`: octal, or symbolic as chmod(1) has it.

use crate::error::{Error, Result};

/// A change of permission bits, parsed once and applied to every file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange {
    text: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Octal(u32),
    Symbolic(Vec<Clause>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clause {
    /// Which of user, group and others: bits of `0o7` in order `u`, `g`, `o`.
    who: u32,
    operator: u8,
    permissions: Permissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permissions {
    Letters {
        read_write_execute: u32,
        search: bool,
        set_id: bool,
        sticky: bool,
    },
    /// The permissions that the user, group or others have now: shift of their bits.
    CopyOf(u32),
}

const USER: u32 = 4;
const GROUP: u32 = 2;
const OTHERS: u32 = 1;

impl ModeChange {
    /// Reads `644`, `0755`, `u=rwX,go=rX`.
    ///
    /// # Errors
    /// [`Error::Format`] for anything else, or above 7777.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = || Error::format(format!("mode {text:?}"), "neither octal nor symbolic");
        let form = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| refuse())?;
            if mode > 0o7777 {
                return Err(refuse());
            }
            Form::Octal(mode)
        } else {
            let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(parse_clauses).collect();
            Form::Symbolic(clauses.ok_or_else(refuse)?.concat())
        };
        Ok(Self {
            text: text.to_owned(),
            form,
        })
    }

    /// The change to just this mode.
    #[must_use]
    pub fn octal(mode: u32) -> Self {
        let mode = mode & 0o7777;
        Self {
            text: format!("{mode:o}"),
            form: Form::Octal(mode),
        }
    }

    /// The text it was read from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The permission bits that a file with `mode` gets.
    #[must_use]
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match &self.form {
            Form::Octal(octal) => *octal,
            Form::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let (bits, special) = match self.permissions {
            Permissions::CopyOf(shift) => (mode >> shift & 7, 0),
            Permissions::Letters {
                read_write_execute,
                search,
                set_id,
                sticky,
            } => {
                let searchable = search && (is_directory || mode & 0o111 != 0);
                let mut special = 0;
                if set_id && self.who & USER != 0 {
                    special |= 0o4000;
                }
                if set_id && self.who & GROUP != 0 {
                    special |= 0o2000;
                }
                if sticky {
                    special |= 0o1000;
                }
                (read_write_execute | u32::from(searchable), special)
            }
        };
        let mut wanted = special;
        let mut all = if self.who & USER != 0 { 0o4000 } else { 0 };
        all |= if self.who & GROUP != 0 { 0o2000 } else { 0 };
        all |= if self.who & OTHERS != 0 { 0o1000 } else { 0 };
        for (who, shift) in [(USER, 6), (GROUP, 3), (OTHERS, 0)] {
            if self.who & who != 0 {
                wanted |= bits << shift;
                all |= 7 << shift;
            }
        }
        match self.operator {
            b'+' => mode | wanted,
            b'-' => mode & !wanted,
            // chmod keeps the set-id bits of a directory unless they are named.
            _ if is_directory => mode & !(all & 0o1777) | wanted,
            _ => mode & !all | wanted,
        }
    }
}

/// One clause of the comma-separated list: who, then one or more operators with permissions.
fn parse_clauses(text: &str) -> Option<Vec<Clause>> {
    let mut rest = text.as_bytes();
    let mut who = 0;
    while let [letter, after @ ..] = rest {
        who |= match letter {
            b'u' => USER,
            b'g' => GROUP,
            b'o' => OTHERS,
            b'a' => USER | GROUP | OTHERS,
            _ => break,
        };
        rest = after;
    }
    if who == 0 {
        who = USER | GROUP | OTHERS;
    }
    let mut clauses = Vec::new();
    while let [operator @ (b'+' | b'-' | b'='), after @ ..] = rest {
        let end = after
            .iter()
            .position(|byte| b"+-=".contains(byte))
            .unwrap_or(after.len());
        let permissions = parse_permissions(&after[..end])?;
        clauses.push(Clause {
            who,
            operator: *operator,
            permissions,
        });
        rest = &after[end..];
    }
    (rest.is_empty() && !clauses.is_empty()).then_some(clauses)
}

fn parse_permissions(letters: &[u8]) -> Option<Permissions> {
    match letters {
        b"u" => return Some(Permissions::CopyOf(6)),
        b"g" => return Some(Permissions::CopyOf(3)),
        b"o" => return Some(Permissions::CopyOf(0)),
        _ => {}
    }
    let (mut bits, mut search, mut set_id, mut sticky) = (0, false, false, false);
    for letter in letters {
        match letter {
            b'r' => bits |= 4,
            b'w' => bits |= 2,
            b'x' => bits |= 1,
            b'X' => search = true,
            b's' => set_id = true,
            b't' => sticky = true,
            _ => return None,
        }
    }
    Some(Permissions::Letters {
        read_write_execute: bits,
        search,
        set_id,
        sticky,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_applied_as_chmod_does() {
        for (text, before, directory, after) in [
            ("644", 0o755, false, 0o644),
            ("0", 0o755, false, 0),
            ("7777", 0, true, 0o7777),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o711, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("u+s", 0o755, false, 0o4755),
            ("g=u", 0o640, false, 0o660),
            ("u=rw,u+x-w", 0o777, false, 0o577),
            ("=", 0o777, false, 0),
            ("o+t", 0o777, true, 0o1777),
            ("go=", 0o2777, true, 0o2700),
        ] {
            let mode = ModeChange::parse(text).unwrap().apply(before, directory);
            assert_eq!(mode, after, "{text} of {before:o} gives {mode:o}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "8",
            "10000",
            "u",
            "u=q",
            "rwx",
            "u=rw,",
            ",",
            "u~x",
            "-",
            "99999999999",
        ] {
            let parsed = ModeChange::parse(text);
            assert_eq!(parsed.is_err(), text != "-", "{text}");
        }
        assert!(ModeChange::parse("").is_err());
    }
}
