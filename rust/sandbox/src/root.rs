//! Builds the file system that a sandbox's process sees, and makes it the process's root.
//!
//! Runs in a mount namespace of its own that is thrown away with the process. Targets are
//! resolved inside the new root, so no link of an image leads out of it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fastlayer_fs::{Directory, RootDir};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

use crate::failure::Failure;
use crate::kernel;
use crate::task::{Mount, Mounted, Task};

type Result<T> = std::result::Result<T, Failure>;

/// `MOUNT_ATTR_RDONLY`.
const READ_ONLY: u64 = 1;
/// `MOUNT_ATTR_NODEV`.
const NO_DEVICES: u64 = 4;
/// Permissions of directories made for mounts.
const DIRECTORY_MODE: u32 = 0o755;

/// The device nodes of every container.
const DEVICES: [&[u8]; 6] = [
    b"/dev/null",
    b"/dev/zero",
    b"/dev/full",
    b"/dev/random",
    b"/dev/urandom",
    b"/dev/tty",
];

/// The links of every container's `/dev`.
const DEVICE_LINKS: [(&[u8], &[u8]); 6] = [
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"ptmx", b"pts/ptmx"),
    (b"core", b"/proc/kcore"),
];

/// Mounts everything of `task` and makes its root the root of this process.
pub(crate) fn enter(task: &Task) -> Result<()> {
    let quiet = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", quiet).map_err(|errno| Failure::of("detach the mounts of", "/", errno))?;
    let path = path_of(&task.root);
    let tree = clone_tree(path)?;
    if !task.options.devices_work {
        set_attributes(&tree, NO_DEVICES, path)?;
    }
    attach(&tree, CWD, path)?;
    let root = RootDir::new(Directory::from_fd(reopen(path, OFlags::DIRECTORY)?, path));
    for mount in &task.mounts {
        add(&root, mount, task)?;
        if mount.target == b"/dev" {
            populate_devices(&root, &task.devices)?;
        }
    }
    for target in &task.read_only {
        make_read_only(&root, target)?;
    }
    for target in &task.masked {
        mask(&root, target)?;
    }
    if task.options.read_only_root {
        // What is mounted below has attributes of its own.
        kernel::set_mount_attributes(tree.as_fd(), READ_ONLY, false)
            .map_err(|errno| Failure::of("make read-only", path, errno))?;
    }
    pivot(root.directory())
}

/// Makes the root of `task` the root of this process, and does nothing else. Who is root can leave it
/// again: this keeps order, not enemies.
pub(crate) fn change(task: &Task) -> Result<()> {
    let path = path_of(&task.root);
    let failed = |errno| Failure::of("change the root to", path, errno);
    fchdir(reopen(path, OFlags::DIRECTORY)?).map_err(failed)?;
    chroot(".").map_err(failed)?;
    chdir("/").map_err(failed)
}

/// Shows what is at `source` at another path too, which is made where it is missing. Both are of
/// this process's own root.
pub(crate) fn show_at(source: &Path, target: &[u8]) -> Result<()> {
    let root = RootDir::new(Directory::from_fd(
        reopen(Path::new("/"), OFlags::DIRECTORY)?,
        "/",
    ));
    let place = ensure_target(&root, target, false)?;
    attach_to(&clone_tree(source)?, &place, target)
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn reopen(path: &Path, more: OFlags) -> Result<OwnedFd> {
    open(path, OFlags::PATH | OFlags::CLOEXEC | more, Mode::empty())
        .map_err(|errno| Failure::of("open", path, errno))
}

fn clone_tree(path: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).map_err(|errno| Failure::of("mount", path, errno))
}

fn set_attributes(mount: &OwnedFd, attributes: u64, path: &Path) -> Result<()> {
    kernel::set_mount_attributes(mount.as_fd(), attributes, true)
        .map_err(|errno| Failure::of("set attributes of the mount at", path, errno))
}

/// Puts a mount that is nowhere yet on the path `target`.
fn attach(mount: &OwnedFd, directory: impl AsFd, target: &Path) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount, "", directory, target, flags)
        .map_err(|errno| Failure::of("mount on", target, errno))
}

/// Puts it on what is open.
fn attach_to(mount: &OwnedFd, target: &OwnedFd, path: &[u8]) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
        .map_err(|errno| Failure::of("mount on", path_of(path), errno))
}

fn add(root: &RootDir, mount: &Mount, task: &Task) -> Result<()> {
    // Where a process could make nodes they must be worthless: nothing else keeps it from the
    // machine's disks.
    let worthless = match &mount.what {
        _ if task.options.devices_work => 0,
        Mounted::FileSystem { kind, .. } if kind == b"devpts" => 0,
        _ => NO_DEVICES,
    };
    let wanted = mount.attributes | worthless;
    let (tree, attributes) = match &mount.what {
        Mounted::Bind { source } => (clone_tree(path_of(source))?, wanted),
        Mounted::FileSystem {
            kind,
            source,
            options,
        } => match make_file_system(kind, source, options, wanted) {
            Ok(made) => (made, 0),
            // The terminals' group does not exist where there is one id alone.
            Err(Errno::INVAL) if kind == b"devpts" => {
                let kept = options.iter().filter(|(key, _)| key != b"gid");
                let options: Vec<_> = kept.cloned().collect();
                let made = make_file_system(kind, source, &options, wanted);
                let failed =
                    |errno| Failure::of("make a file system of type", path_of(kind), errno);
                (made.map_err(failed)?, 0)
            }
            Err(errno) => (stand_in(kind, errno)?, wanted),
        },
    };
    if attributes != 0 {
        set_attributes(&tree, attributes, path_of(&mount.target))?;
    }
    let is_directory = is_directory(&tree)?;
    let target = ensure_target(root, &mount.target, is_directory)?;
    attach_to(&tree, &target, &mount.target)
}

fn is_directory(fd: &OwnedFd) -> Result<bool> {
    let status = fstat(fd).map_err(|errno| Failure::of("look at", "a mount", errno))?;
    Ok(FileType::from_raw_mode(status.st_mode) == FileType::Directory)
}

fn make_file_system(
    kind: &[u8],
    source: &[u8],
    options: &[(Vec<u8>, Vec<u8>)],
    attributes: u64,
) -> std::result::Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(&context, key.as_slice())?;
        } else {
            fsconfig_set_string(&context, key.as_slice(), value.as_slice())?;
        }
    }
    fsconfig_create(&context)?;
    let attributes = u32::try_from(attributes).map_err(|_| Errno::INVAL)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// What is shown where the kernel makes no new file system of a kind for us: in a user namespace
/// without a network namespace there is no sysfs, for instance. The host's own has less to hide
/// then, and its files ask for the rights that we lack.
fn stand_in(kind: &[u8], errno: Errno) -> Result<OwnedFd> {
    let failed = || Failure::of("make a file system of type", path_of(kind), errno);
    if errno != Errno::PERM && errno != Errno::BUSY {
        return Err(failed());
    }
    let path = match kind {
        b"sysfs" => "/sys",
        b"proc" => "/proc",
        b"mqueue" => "/dev/mqueue",
        b"cgroup" | b"cgroup2" => "/sys/fs/cgroup",
        _ => return Err(failed()),
    };
    clone_tree(Path::new(path)).map_err(|_| failed())
}

/// Opens what `path` names inside the root, made where it is missing.
fn ensure_target(root: &RootDir, path: &[u8], is_directory: bool) -> Result<OwnedFd> {
    match root.open_path(path, true) {
        Ok(found) => return Ok(found),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    if is_directory {
        return Ok(root.ensure_directory(path, DIRECTORY_MODE)?.into());
    }
    if let Some(position) = path.iter().rposition(|byte| *byte == b'/') {
        root.ensure_directory(&path[..position], DIRECTORY_MODE)?;
    }
    let (parent, name) = root.open_parent(path)?;
    drop(parent.create_file(name, 0o644)?);
    Ok(parent.open_path(name)?)
}

/// Fills a new `/dev`. Nodes are the host's own, mounted: making some needs rights that a user
/// namespace does not give, and a node in a file system that heeds no nodes is none.
fn populate_devices(root: &RootDir, more: &[Vec<u8>]) -> Result<()> {
    let more = more.iter().map(Vec::as_slice);
    for path in DEVICES.into_iter().chain(more) {
        if !path_of(path).exists() {
            continue;
        }
        let target = ensure_target(root, path, false)?;
        attach_to(&clone_tree(path_of(path))?, &target, path)?;
    }
    let directory = root.open_directory(b"dev")?;
    for (name, target) in DEVICE_LINKS {
        if name != b"core" || path_of(target).exists() {
            directory.symlink_at(target, name)?;
        }
    }
    Ok(())
}

fn make_read_only(root: &RootDir, path: &[u8]) -> Result<()> {
    let Some(target) = existing(root, path)? else {
        return Ok(());
    };
    let shown = format!("/proc/self/fd/{}", target.as_raw_fd());
    let tree = clone_tree(Path::new(&shown))?;
    set_attributes(&tree, READ_ONLY, path_of(path))?;
    attach_to(&tree, &target, path)
}

fn mask(root: &RootDir, path: &[u8]) -> Result<()> {
    let Some(target) = existing(root, path)? else {
        return Ok(());
    };
    let cover = if is_directory(&target)? {
        let made = || {
            let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&context, "nr_inodes", "1")?;
            fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        made().map_err(|errno| Failure::of("mask", path_of(path), errno))?
    } else {
        clone_tree(Path::new("/dev/null"))?
    };
    attach_to(&cover, &target, path)
}

fn existing(root: &RootDir, path: &[u8]) -> Result<Option<OwnedFd>> {
    match root.open_path(path, true) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.errno() == Some(Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes `root` the root directory, and lets go of the old one.
fn pivot(root: &Directory) -> Result<()> {
    let failed = |errno| Failure::of("change the root to", root.path(), errno);
    let old = open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed)?;
    fchdir(root).map_err(failed)?;
    pivot_root(".", ".").map_err(failed)?;
    // The old root lies on the new one now; without this its unmounting would spread.
    fchdir(&old).map_err(failed)?;
    let quiet = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change(".", quiet).map_err(failed)?;
    unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    chdir("/").map_err(failed)
}
