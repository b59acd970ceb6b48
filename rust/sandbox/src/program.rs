//! Starting a program from the namespace's thread, so that it is in the namespace too.

#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::setsid;

use crate::error::{Error, Result};

/// The first descriptor that is not one of the three standard ones.
const FIRST_FREE: RawFd = 3;

/// A program to start.
#[derive(Debug)]
pub struct Program<'fd> {
    /// The program and its arguments; without a slash it is looked for in `PATH` of `environment`.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Working directory, as the namespace sees it.
    pub directory: PathBuf,
    /// What the program reads.
    pub stdin: BorrowedFd<'fd>,
    /// Where it writes.
    pub stdout: BorrowedFd<'fd>,
    /// Where it complains.
    pub stderr: BorrowedFd<'fd>,
    /// More descriptors it gets, under the same numbers, which are not below 3.
    pub pass: Vec<BorrowedFd<'fd>>,
}

/// A command ready to be started on another thread.
pub(crate) struct Prepared {
    command: Command,
    name: PathBuf,
}

/// Turns `program` into a command. The caller keeps the descriptors open until it is started.
pub(crate) fn prepare(program: &Program<'_>) -> Result<Prepared> {
    let Some((name, arguments)) = program.arguments.split_first() else {
        return Err(Error::Invalid("a program needs a name"));
    };
    let pass: Vec<RawFd> = program.pass.iter().map(AsRawFd::as_raw_fd).collect();
    if pass.iter().any(|&fd| fd < FIRST_FREE) {
        return Err(Error::Invalid(
            "a passed descriptor must not be a standard one",
        ));
    }
    let failed = |source| Error::Start {
        program: name.into(),
        source,
    };
    let stdio = |fd: BorrowedFd<'_>| -> Result<Stdio> {
        let owned: OwnedFd = fd.try_clone_to_owned().map_err(failed)?;
        Ok(owned.into())
    };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env_clear()
        .envs(program.environment.iter().map(|(key, value)| (key, value)))
        .current_dir(&program.directory)
        .stdin(stdio(program.stdin)?)
        .stdout(stdio(program.stdout)?)
        .stderr(stdio(program.stderr)?);
    let before_exec = move || -> io::Result<()> {
        setsid()?;
        for &fd in &pass {
            // SAFETY: the caller of `MountNamespace::spawn` lends the descriptors for the length
            // of the call, and the fork happens within it.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec of a process with several threads. It makes
    // two kinds of system calls and touches no lock and no allocator.
    unsafe { command.pre_exec(before_exec) };
    Ok(Prepared {
        command,
        name: name.into(),
    })
}

/// Starts the command in the namespaces of the calling thread; gives the process id.
pub(crate) fn start(mut prepared: Prepared) -> Result<u32> {
    match prepared.command.spawn() {
        // Dropping the handle neither kills nor reaps: that is the caller's.
        Ok(child) => Ok(child.id()),
        Err(source) => Err(Error::Start {
            program: prepared.name,
            source,
        }),
    }
}
