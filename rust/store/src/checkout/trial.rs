//! Whether overlay mounts follow stubs, found out by mounting one.
//!
//! It takes a kernel of 6.16 or later, and a file system with the attributes; a security module or
//! a container's filter of system calls may still forbid it. The answer is kept for a boot and
//! kernel in `cache/stubs-KIND` (`docs/formats/checkout.md`): trying costs some milliseconds, and what
//! is kept can be lost.

use std::io::Write;

use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{Directory, remove_tree, write_atomic};
use rustix::system::uname;

use super::ladder::TryMount;
use super::{Lowers, PRIVATE, Trial, stub};
use crate::area::path_of;
use crate::digest::ContentId;
use crate::error::{Error, Result};
use crate::overlay::OverlayNamespace;
use crate::store::{Store, boot_id};

const CONTENT: &[u8] = b"what a stub stands for";
const FILE: &str = "stub";
const MODE: u32 = 0o640;
/// Any id: the directory of data is the trial's own.
const ID: [u8; 32] = [0xab; 32];

/// Whether mounts of this process follow stubs on the store's file system.
pub(super) fn stubs_are_followed(store: &Store, try_mount: TryMount) -> Result<bool> {
    let namespace = OverlayNamespace::of_process();
    let cache = store.root().ensure_child(b"cache", PRIVATE)?;
    let name = format!("stubs-{}", namespace.word());
    let here = format!(
        "{} {} {:x}",
        boot_id()?,
        uname().release().to_string_lossy(),
        store.root().metadata()?.dev
    );
    if let Some(known) = known(&cache, &name, &here)? {
        return Ok(known);
    }
    let found = attempt(store, namespace, try_mount)?;
    let answer = if found { "yes" } else { "no" };
    let line = format!("{here} {answer}\n");
    write_atomic(&cache, name.as_bytes(), 0o600, line.as_bytes(), false)?;
    Ok(found)
}

/// The answer that was kept for the place and time `here`.
fn known(cache: &Directory, name: &str, here: &str) -> Result<Option<bool>> {
    let file = match cache.open_file(name.as_bytes()) {
        Err(error) if error.is_not_found() => return Ok(None),
        file => file?,
    };
    let path = cache.path_to(name.as_bytes());
    let line = std::io::read_to_string(file).map_err(|source| Error::io(path.display(), source))?;
    Ok(match line.trim_end().strip_prefix(here) {
        Some(" yes") => Some(true),
        Some(" no") => Some(false),
        _ => None,
    })
}

/// Mounts a stub over its content in a directory of its own.
fn attempt(store: &Store, namespace: OverlayNamespace, try_mount: TryMount) -> Result<bool> {
    let name = temporary_name();
    store.staging().mkdir_at(&name, PRIVATE)?;
    let place = store.staging().open_child(&name)?;
    let found = prepare(&place, namespace).and_then(|trial| match trial {
        Some(trial) => shows_content(&place, namespace, &trial, try_mount),
        None => Ok(false),
    });
    remove_tree(store.staging(), &name)?;
    found
}

/// Lays a trial out; nothing where the file system has no such attributes.
fn prepare(place: &Directory, namespace: OverlayNamespace) -> Result<Option<Trial>> {
    for name in ["lower", "data", "upper", "work", "merged"] {
        place.mkdir_at(name.as_bytes(), PRIVATE)?;
    }
    let path = path_of(&ID);
    let shard = place
        .open_child(b"data")?
        .ensure_child(&path[..2], PRIVATE)?;
    let written = shard.create_file(&path[3..], 0o400)?.write_all(CONTENT);
    written.map_err(|source| Error::io("cannot write in the store", source))?;
    let file = place
        .open_child(b"lower")?
        .create_file(FILE.as_bytes(), 0o600)?;
    let id = ContentId::from_bytes(ID);
    if stub::write(&file, namespace, &id, CONTENT.len() as u64).is_err() {
        return Ok(None);
    }
    let below = |name: &str| place.path_to(name.as_bytes());
    Ok(Some(Trial {
        lowers: Lowers {
            directories: vec![below("lower")],
            data: vec![below("data")],
        },
        upper: below("upper"),
        work: below("work"),
        target: below("merged"),
        file: FILE,
        mode: MODE,
    }))
}

/// Whether the mount shows the content, and what it copied up is whole and bears no mark of a stub.
fn shows_content(
    place: &Directory,
    namespace: OverlayNamespace,
    trial: &Trial,
    try_mount: TryMount,
) -> Result<bool> {
    if try_mount(trial).as_deref() != Some(CONTENT) {
        return Ok(false);
    }
    let upper = place.open_child(b"upper")?;
    let Ok(file) = upper.open_file(FILE.as_bytes()) else {
        return Ok(false);
    };
    let marks = upper.xattrs(FILE.as_bytes())?;
    let is_stub = [&b"redirect"[..], b"metacopy"]
        .into_iter()
        .any(|mark| namespace.mark(&marks, mark).is_some());
    Ok(!is_stub && std::io::read_to_string(file).is_ok_and(|text| text.as_bytes() == CONTENT))
}
