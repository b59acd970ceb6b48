//! Mounting an overlay so that its upper directory can be read without it.
//!
//! `index`, `metacopy` and `redirect_dir` are off: with any of them on, an upper refers to its
//! lowers in ways that only the kernel understands. Layers are given one at a time, which has no
//! limit on the length of all paths together and gives no character in them a meaning. In a user
//! namespace the overlay's marks are attributes of the user (`userxattr`). Lowers may leave the
//! content of files to data-only directories: kernels before 6.16 refuse that without `metacopy`.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fastlayer_fs::{Directory, remove_tree};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::{self, Errno};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::error::{Error, Result};
use crate::legacy;
use crate::namespaces::is_nested;

/// The kernel's limit of layers (`OVL_MAX_STACK`).
pub const MAX_LOWERS: usize = 500;

/// The kernel takes values below 256 bytes; longer paths go by descriptor.
const MAX_VALUE: usize = 255;

/// Options of every overlay of ours. In a user namespace redirects are neither made nor followed,
/// and kernels that follow them elsewhere refuse to be told `off` there.
pub(crate) fn fixed_options(nested: bool) -> [(&'static str, &'static str); 3] {
    let redirect = if nested { "nofollow" } else { "off" };
    [
        ("index", "off"),
        ("metacopy", "off"),
        ("redirect_dir", redirect),
    ]
}

/// What to stack.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Lower directories, the topmost first; at least one.
    pub lowers: Vec<PathBuf>,
    /// Directories below all of them that are seen only through files of the lowers which say that
    /// their content is there.
    pub data: Vec<PathBuf>,
    /// Where changes go; `None` mounts read-only.
    pub upper: Option<Upper>,
    /// Turn syncing inside the mount into nothing: for uppers that are worthless after a crash.
    pub volatile: bool,
}

/// Where an overlay keeps changes.
#[derive(Clone, Debug)]
pub struct Upper {
    /// The upper directory.
    pub directory: PathBuf,
    /// An empty directory on the same file system, for the kernel's use.
    pub work: PathBuf,
}

/// Removes the mark that an unmounted `volatile` overlay left in its work directory, which keeps
/// the upper from being mounted again. For uppers that the caller knows to be whole.
///
/// # Errors
/// Those of the removal.
pub fn forget_volatile(work: &Path) -> fastlayer_fs::Result<()> {
    let incompatible = match Directory::open(work.join("work/incompat")) {
        Err(error) if error.is_not_found() => return Ok(()),
        result => result?,
    };
    remove_tree(&incompatible, b"volatile")
}

/// Mounts `overlay` on `target`, in the namespace of the calling thread.
pub(crate) fn mount(overlay: &Overlay, target: &Path) -> Result<()> {
    if overlay.lowers.is_empty() {
        return Err(Error::Invalid("an overlay needs a lower directory"));
    }
    let count = overlay.lowers.len() + overlay.data.len();
    if count > MAX_LOWERS {
        return Err(Error::TooManyLayers {
            count,
            limit: MAX_LOWERS,
        });
    }
    let context = match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        // A kernel without this interface.
        Err(Errno::NOSYS) => return legacy::mount(overlay, target),
        result => result.map_err(|errno| Error::of("mount an overlay on", target, errno))?,
    };
    let mut opened = Vec::new();
    let supported = match configure(&context, overlay, &mut opened) {
        // A kernel that takes the layers only all at once (before 6.7).
        Err((Errno::INVAL, "lowerdir+", _)) if opened.is_empty() => false,
        Err((errno, _, path)) => return Err(failed(&context, path, errno)),
        Ok(()) => true,
    };
    if !supported {
        return legacy::mount(overlay, target);
    }
    fsconfig_create(&context).map_err(|errno| failed(&context, target, errno))?;
    let attributes = match overlay.upper {
        Some(_) => MountAttrFlags::empty(),
        None => MountAttrFlags::MOUNT_ATTR_RDONLY,
    };
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| failed(&context, target, errno))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&mounted, "", CWD, target, flags)
        .map_err(|errno| Error::of("mount an overlay on", target, errno))
}

/// Sets all options; on failure tells which option and which path. `opened` says whether the
/// kernel has taken a layer, and keeps descriptors for it.
fn configure<'a>(
    context: &OwnedFd,
    overlay: &'a Overlay,
    opened: &mut Vec<Option<OwnedFd>>,
) -> std::result::Result<(), (Errno, &'static str, &'a Path)> {
    for lower in &overlay.lowers {
        let kept = set_path(context, "lowerdir+", lower)
            .map_err(|errno| (errno, "lowerdir+", lower.as_path()))?;
        opened.push(kept);
    }
    for data in &overlay.data {
        let kept = set_path(context, "datadir+", data)
            .map_err(|errno| (errno, "datadir+", data.as_path()))?;
        opened.push(kept);
    }
    if let Some(upper) = &overlay.upper {
        for (key, path) in [("upperdir", &upper.directory), ("workdir", &upper.work)] {
            let kept =
                set_path(context, key, path).map_err(|errno| (errno, key, path.as_path()))?;
            opened.push(kept);
        }
    }
    let here = Path::new("the overlay");
    // What `/proc/mounts` shows as the device.
    fsconfig_set_string(context, "source", "overlay").map_err(|errno| (errno, "source", here))?;
    let nested = is_nested();
    for (key, value) in fixed_options(nested) {
        fsconfig_set_string(context, key, value).map_err(|errno| (errno, key, here))?;
    }
    if nested {
        fsconfig_set_flag(context, "userxattr").map_err(|errno| (errno, "userxattr", here))?;
    }
    if overlay.volatile && overlay.upper.is_some() {
        fsconfig_set_flag(context, "volatile").map_err(|errno| (errno, "volatile", here))?;
    }
    Ok(())
}

/// Gives a path as it is where it is short enough, so that `/proc/mounts` shows it; else by a
/// descriptor, which must stay open until the file system exists. So too with a backslash, which
/// the kernel takes for the begin of an escape in some of the options and not in others.
fn set_path(context: &OwnedFd, key: &str, path: &Path) -> io::Result<Option<OwnedFd>> {
    if path.as_os_str().len() <= MAX_VALUE && !path.as_os_str().as_bytes().contains(&b'\\') {
        fsconfig_set_string(context, key, path)?;
        return Ok(None);
    }
    let directory = open_directory(path)?;
    let name = format!("/proc/self/fd/{}", directory.as_raw_fd());
    fsconfig_set_string(context, key, name.as_str())?;
    Ok(Some(directory))
}

pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

fn failed(context: &OwnedFd, path: &Path, errno: Errno) -> Error {
    let said = kernel_messages(context);
    Error::of("mount an overlay with", path, errno).with_detail(&said)
}

/// What the kernel wrote about the last failure: lines like `e overlay: …`.
fn kernel_messages(context: &OwnedFd) -> String {
    let Ok(duplicate) = context.as_fd().try_clone_to_owned() else {
        return String::new();
    };
    let mut log = std::fs::File::from(duplicate);
    let mut messages: Vec<String> = Vec::new();
    let mut line = [0_u8; 1024];
    // One message a read, until ENODATA.
    while let Ok(length @ 1..) = log.read(&mut line) {
        let text = OsStr::from_bytes(&line[..length]).to_string_lossy();
        let text = text.trim();
        messages.push(text.get(2..).unwrap_or(text).to_owned());
    }
    messages.join("; ")
}
