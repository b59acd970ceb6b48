//! The last steps of a sandbox's process: it becomes who it is to be, and then its program.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, FileType, Mode, access, stat};
use rustix::io::Errno;
use rustix::process::{chdir, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs,
};

use crate::failure::{Failure, NOT_EXECUTABLE, NOT_FOUND};
use crate::kernel;
use crate::task::Task;

type Result<T> = std::result::Result<T, Failure>;

/// One more than the highest capability a set of 64 bits can have.
const CAPABILITIES: u32 = 64;
/// Where programs are looked for when nobody says.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the process of `task`; returns only where that fails.
pub(crate) fn start(task: &Task) -> Failure {
    match prepare(task) {
        Ok(program) => {
            let errno = kernel::execute(&program, &task.arguments, &task.environment);
            cannot_execute(&task.arguments[0], errno)
        }
        Err(failure) => failure,
    }
}

fn prepare(task: &Task) -> Result<CString> {
    umask(Mode::from_raw_mode(0o022));
    for limit in &task.limits {
        kernel::set_limit(limit.resource, limit.soft, limit.hard).map_err(|errno| {
            let number = limit.resource;
            Failure::new(format!("cannot set resource limit {number}: {errno}"))
        })?;
    }
    // Some directories only root may enter, and some (on network file systems) only the user.
    let entered = enter_directory(task);
    become_user(task)?;
    if entered.is_err() {
        enter_directory(task)?;
    }
    find_program(task)
}

fn enter_directory(task: &Task) -> Result<()> {
    let path = Path::new(OsStr::from_bytes(&task.working_directory));
    if chdir(path) == Err(Errno::NOENT) {
        // As runtimes do: an image may name a directory that it does not have.
        let _ = std::fs::create_dir_all(path);
    }
    chdir(path).map_err(|errno| Failure::of("enter the working directory", path, errno))
}

/// Changes ids and capabilities, in the one order that the kernel permits.
fn become_user(task: &Task) -> Result<()> {
    let failed = |what: &'static str| move |errno| Failure::new(format!("cannot {what}: {errno}"));
    if task.options.no_new_privileges {
        set_no_new_privs(true).map_err(failed("forbid new privileges"))?;
    }
    let sets = &task.capabilities;
    for number in 0..CAPABILITIES {
        if sets.bounding >> number & 1 == 0 && kernel::drop_from_bounding_set(number).is_err() {
            break; // the kernel's last capability is passed
        }
    }
    // Needs the rights that are given up below.
    if !task.filter.is_empty() {
        kernel::set_filter(&task.filter).map_err(failed("filter system calls"))?;
    }
    set_keep_capabilities(true).map_err(failed("keep capabilities"))?;
    set_groups(task)?;
    let unmapped = |what: &str, id: u32, errno: Errno| {
        Failure::new(match errno {
            Errno::INVAL => format!(
                "cannot become {what} {id}: it has no number outside (no range of subordinate \
                 ids holds it)"
            ),
            _ => format!("cannot become {what} {id}: {errno}"),
        })
    };
    kernel::set_group(task.gid).map_err(|errno| unmapped("group", task.gid, errno))?;
    kernel::set_user(task.uid).map_err(|errno| unmapped("user", task.uid, errno))?;
    let wanted = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    set_capabilities(None, wanted).map_err(failed("set capabilities"))?;
    set_keep_capabilities(false).map_err(failed("keep capabilities"))?;
    let _ = clear_ambient_capability_set(); // kernels before 4.3 have none
    Ok(())
}

fn set_groups(task: &Task) -> Result<()> {
    match kernel::set_groups(&task.groups) {
        // With a single id nobody may change groups, and there are none but the user's own.
        Err(Errno::PERM) if task.groups.is_empty() => Ok(()),
        Err(Errno::PERM | Errno::INVAL) => Err(Failure::new(format!(
            "cannot become a member of groups {:?}: not all exist (no range of subordinate ids \
             holds them)",
            task.groups
        ))),
        Err(errno) => Err(Failure::new(format!("cannot set groups: {errno}"))),
        Ok(()) => Ok(()),
    }
}

fn find_program(task: &Task) -> Result<CString> {
    let name = &task.arguments[0];
    if name.as_bytes().contains(&b'/') {
        return Ok(name.clone());
    }
    let path = task
        .environment
        .iter()
        .find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for directory in path.split(|byte| *byte == b':') {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        let Ok(candidate) = CString::new([directory, b"/", name.as_bytes()].concat()) else {
            continue;
        };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => refused = Some(Errno::ACCESS),
            Err(_) => {}
        }
    }
    Err(refused.map_or_else(
        || Failure {
            exit_code: NOT_FOUND,
            message: format!(
                "exec: \"{}\": executable file not found in $PATH",
                name.to_string_lossy()
            ),
        },
        |errno| cannot_execute(name, errno),
    ))
}

fn executable(path: &CString) -> std::result::Result<(), Errno> {
    let status = stat(path.as_c_str())?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    access(path.as_c_str(), Access::EXEC_OK)
}

fn cannot_execute(name: &CString, errno: Errno) -> Failure {
    let name = name.to_string_lossy();
    let (exit_code, reason) = match errno {
        Errno::NOENT => (NOT_FOUND, "no such file or directory".to_owned()),
        Errno::ACCESS => (NOT_EXECUTABLE, "permission denied".to_owned()),
        Errno::NOEXEC => (NOT_EXECUTABLE, "exec format error".to_owned()),
        Errno::NOTDIR => (NOT_EXECUTABLE, "not a directory".to_owned()),
        _ => (NOT_EXECUTABLE, errno.to_string()),
    };
    Failure {
        exit_code,
        message: format!("exec: \"{name}\": {reason}"),
    }
}
