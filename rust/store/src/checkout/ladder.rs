//! The rungs by which a file gets into a checkout, from the cheapest to the one that always works.
//!
//! A *link*: the object itself, where it bears just the attributes of the file. A *reflink*: a new
//! file with the object's blocks. A *stub*: a new file without content, which tells overlayfs that
//! the content is the object's ([`super::stub`]). Else a copy.

use std::path::PathBuf;

use super::Lowers;
use crate::error::{Error, Result};

/// Restricts the rungs that checkouts use, for tests and to look for the cause of a trouble: words
/// of `hardlink`, `reflink`, `stub` and `copy` with commas between them. What is laid out stays.
pub const LADDER_VARIABLE: &str = "FASTLAYER_CHECKOUT";

/// The rungs that new checkouts may use; a copy is always allowed.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// Links to objects.
    pub hardlink: bool,
    /// Files that share the blocks of objects.
    pub reflink: bool,
    /// Stubs, where mounts follow them. This crate cannot mount, so it must be told how to try.
    pub stub: Option<TryMount>,
}

/// Mounts a [`Trial`]; gives what its file contains after its mode was changed, and nothing where
/// any of that is refused.
pub type TryMount = fn(&Trial) -> Option<Vec<u8>>;

/// An overlay mount that is to be tried out.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it is stacked from.
    pub lowers: Lowers,
    /// Where it keeps changes.
    pub upper: PathBuf,
    /// An empty directory for the kernel.
    pub work: PathBuf,
    /// Where it is mounted.
    pub target: PathBuf,
    /// The name of the file that is to be read.
    pub file: &'static str,
    /// The mode that the file is to be given.
    pub mode: u32,
}

impl Default for Ladder {
    /// All that this crate can do by itself.
    fn default() -> Self {
        Self {
            hardlink: true,
            reflink: true,
            stub: None,
        }
    }
}

impl Ladder {
    /// All rungs, or those that `$FASTLAYER_CHECKOUT` names.
    ///
    /// # Errors
    /// [`Error::Format`] for a word that names none.
    pub fn from_environment(try_mount: TryMount) -> Result<Self> {
        let all = Self {
            stub: Some(try_mount),
            ..Self::default()
        };
        match std::env::var_os(LADDER_VARIABLE) {
            Some(words) => all.restricted_to(&words.to_string_lossy()),
            None => Ok(all),
        }
    }

    /// Those rungs of this ladder that `words` names.
    ///
    /// # Errors
    /// [`Error::Format`] for a word that names none.
    pub fn restricted_to(self, words: &str) -> Result<Self> {
        let mut ladder = Self {
            hardlink: false,
            reflink: false,
            stub: None,
        };
        for word in words.split(',') {
            match word {
                "hardlink" => ladder.hardlink = self.hardlink,
                "reflink" => ladder.reflink = self.reflink,
                "stub" => ladder.stub = self.stub,
                "copy" => {}
                _ => {
                    return Err(Error::format(
                        LADDER_VARIABLE,
                        format!("takes hardlink, reflink, stub and copy, and not {word:?}"),
                    ));
                }
            }
        }
        Ok(ladder)
    }
}
