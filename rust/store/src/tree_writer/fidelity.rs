//! Giving a file what it is to bear: all of it, or as much as the user and the file system allow.
//!
//! What is not allowed is left out by itself: that a file's group does not exist here is no reason
//! to lose its user or its attributes. What a checkout leaves out so, [`crate::owners`] knows when
//! it is compared.

use std::collections::BTreeMap;

use fastlayer_fs::{Attributes, xattr};
use rustix::io::Errno;

use super::PathAttributes;
use crate::error::Result;
use crate::overlay::OverlayNamespace;

/// The attribute that every other change of a file may clear.
const CAPABILITY: &[u8] = b"security.capability";

/// How the attributes that not every user and file system can set are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fidelity {
    /// All of them, or an error.
    Exact,
    /// As far as the user may.
    Possible,
}

impl Fidelity {
    /// What a checkout asks for: an unprivileged user has one id, and cannot give files away.
    pub(crate) fn of_process() -> Self {
        if OverlayNamespace::of_process() == OverlayNamespace::Trusted {
            Self::Exact
        } else {
            Self::Possible
        }
    }

    /// Sets everything by `set`; where that is not demanded and not allowed, each thing that is.
    pub(super) fn apply(
        self,
        attributes: &PathAttributes,
        set: impl Fn(&Attributes<'_>) -> fastlayer_fs::Result<()>,
    ) -> Result<()> {
        let mtime =
            fastlayer_fs::Timestamp::new(attributes.mtime.seconds, attributes.mtime.nanoseconds);
        let all = Attributes {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: Some(mtime),
            xattrs: &attributes.xattrs,
        };
        match set(&all) {
            Err(_) if self == Self::Possible => one_by_one(&all, set),
            result => Ok(result?),
        }
    }
}

fn one_by_one(
    all: &Attributes<'_>,
    set: impl Fn(&Attributes<'_>) -> fastlayer_fs::Result<()>,
) -> Result<()> {
    let none = BTreeMap::new();
    let bare = Attributes {
        uid: u32::MAX,
        gid: u32::MAX,
        mtime: None,
        xattrs: &none,
        ..*all
    };
    let (uid, gid) = (all.uid, all.gid);
    where_allowed(set(&Attributes { uid, ..bare }))?;
    where_allowed(set(&Attributes { gid, ..bare }))?;
    let (last, others): (Vec<_>, Vec<_>) =
        all.xattrs.iter().partition(|(name, _)| *name == CAPABILITY);
    for (name, value) in others.into_iter().chain(last) {
        let xattrs = xattr::Attributes::from([(name.clone(), value.clone())]);
        where_allowed(set(&Attributes {
            xattrs: &xattrs,
            ..bare
        }))?;
    }
    let mtime = all.mtime;
    Ok(set(&Attributes { mtime, ..bare })?)
}

/// Takes a refusal for an answer, and nothing else: not privileged; ids that do not exist in this
/// user namespace; a file system that has no such thing.
fn where_allowed(result: fastlayer_fs::Result<()>) -> Result<()> {
    match result {
        Err(error)
            if matches!(
                error.errno(),
                Some(
                    Errno::PERM
                        | Errno::ACCESS
                        | Errno::INVAL
                        | Errno::OVERFLOW
                        | Errno::OPNOTSUPP
                        | Errno::NOSYS
                )
            ) =>
        {
            Ok(())
        }
        result => Ok(result?),
    }
}
