//! Trying out what an overlay mount of this kernel does, instead of believing its version.

use std::fs::{Permissions, read, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::namespace::MountNamespace;
use crate::overlay::Overlay;

/// Mounts `overlay` on the directory `target`, as every overlay of ours, in a mount namespace that
/// ends with the call; gives what its file `name` contains after its mode was set to `mode`, which
/// copies it to the upper directory.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn read_through(overlay: Overlay, target: &Path, name: &str, mode: u32) -> Result<Vec<u8>> {
    let namespace = MountNamespace::new()?;
    namespace.mount_overlay(overlay, target)?;
    let file = target.join(name);
    namespace.call(move || {
        let before = read(&file).map_err(|source| Error::of("read", file.as_path(), source))?;
        set_permissions(&file, Permissions::from_mode(mode))
            .map_err(|source| Error::of("change the mode of", file.as_path(), source))?;
        let after = read(&file).map_err(|source| Error::of("read", file.as_path(), source))?;
        if before == after {
            return Ok(after);
        }
        Err(Error::Invalid(
            "the overlay shows another content after the mode was changed",
        ))
    })?
}
