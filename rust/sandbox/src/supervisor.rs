//! Starts one task and stays beside it: makes the namespaces, tells how the start went and how
//! the process ended, and kills everything when whoever asked hangs up.
//!
//! Three processes: the supervisor, outside of the process namespace; the first process inside,
//! which sets the rest up and, where the task wants it, stays to reap; the task's own process.
//! They end one after the other, the innermost first, and a namespace whose first process ends
//! takes all others with it. Without a namespace the supervisor inherits what is left behind, and
//! kills it itself.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open,
    set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal, setsid, wait,
    waitpid,
};
use rustix::system::sethostname;

use crate::failure::Failure;
use crate::kernel::{self, Side};
use crate::message::Message;
use crate::namespaces;
use crate::task::Task;
use crate::{orphans, root, start, terminal};

type Result<T> = std::result::Result<T, Failure>;

/// The number that the connection to whoever asked gets.
const CONNECTION: i32 = 3;
/// What lists of processes show.
const NAME: &[u8] = b"fastlayer-sandbox";
/// The exit code of a process that a signal ended is this and the signal's number.
const SIGNAL_BASE: i32 = 128;
/// Exit code where nothing better is known.
const KILLED: u8 = 137;

/// What a task is started with.
#[derive(Debug)]
pub struct Streams {
    /// Standard input, output and error output.
    pub standard: [OwnedFd; 3],
    /// The connection to whoever asked: a socket for [`Message`]s; its end kills the task.
    pub connection: OwnedFd,
}

/// Runs `task` in this process, which must have one thread and is used up: it never returns.
pub fn supervise(task: &Task, streams: Streams) -> ! {
    let connection = match arrange(streams) {
        Ok(connection) => connection,
        Err(_) => kernel::exit(KILLED),
    };
    let ended = match run(task, &connection) {
        Ok(code) => Message::Exited(code),
        Err(failure) => Message::Failed(failure),
    };
    // Whoever asked may be gone, and then nobody wants to know.
    let _ = ended.send(&connection);
    kernel::exit(0)
}

/// Puts descriptors in their places and forgets all that the process inherited.
fn arrange(streams: Streams) -> std::result::Result<OwnedFd, Errno> {
    for (number, stream) in (0..).zip(&streams.standard) {
        kernel::place(stream.as_fd(), number)?;
    }
    let connection = kernel::move_to(streams.connection, CONNECTION)?;
    std::mem::forget(streams.standard);
    kernel::close_from(CONNECTION.unsigned_abs() + 1);
    kernel::reset_signals();
    // Whatever the terminal's user types is for whoever asked.
    let _ = setsid();
    kernel::show_as(NAME);
    // A process in the sandbox must not reach our program or our memory by /proc.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(connection)
}

fn run(task: &Task, connection: &OwnedFd) -> Result<i32> {
    let failed = |errno| Failure::new(format!("cannot start a process: {errno}"));
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    if task.beside != 0 {
        namespaces::enter_those_of(task.beside, task.namespaces)?;
    } else {
        namespaces::enter_processes(task.namespaces)?;
    }
    if task.options.root_only {
        set_child_subreaper(Some(getpid())).map_err(failed)?;
    }
    let first = match kernel::fork().map_err(failed)? {
        Side::Child => first_process(task, writer, connection),
        Side::Parent(pid) => pid,
    };
    drop(writer);
    if let Some(failure) = read_failure(&reader) {
        let _ = waitpid(Some(first), WaitOptions::empty());
        return Err(failure);
    }
    let id = first.as_raw_nonzero().get();
    if Message::Started(id).send(connection).is_err() {
        let _ = kill_process(first, Signal::KILL);
    }
    let code = watch(first, connection).map_err(failed)?;
    if task.options.root_only {
        orphans::end_all();
    }
    Ok(code)
}

/// Waits for the first process; kills it when the connection ends.
fn watch(first: Pid, connection: &OwnedFd) -> std::result::Result<i32, Errno> {
    let process = pidfd_open(first, PidfdFlags::empty())?;
    loop {
        let mut events = [
            PollFd::new(&process, PollFlags::IN),
            PollFd::new(connection, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut events, None))?;
        if !events[0].revents().is_empty() {
            return Ok(exit_code(first));
        }
        if !events[1].revents().is_empty() {
            match Message::receive_signal(connection) {
                Some(signal) => {
                    let _ = kill_process(first, signal);
                }
                None => {
                    kill_process(first, Signal::KILL)?;
                    return Ok(exit_code(first));
                }
            }
        }
    }
}

/// The code of a child, waited for.
fn exit_code(child: Pid) -> i32 {
    match retry_on_intr(|| waitpid(Some(child), WaitOptions::empty())) {
        Ok(Some((_, status))) => status
            .exit_status()
            .or_else(|| Some(SIGNAL_BASE + status.terminating_signal()?))
            .unwrap_or_else(|| i32::from(KILLED)),
        _ => i32::from(KILLED),
    }
}

/// Why the start failed; nothing where the writing end was closed by a successful exec.
fn read_failure(reader: &OwnedFd) -> Option<Failure> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = retry_on_intr(|| rustix::io::read(reader, &mut buffer)) {
        text.extend_from_slice(&buffer[..count]);
    }
    let (code, message) = text.split_first()?;
    Some(Failure {
        exit_code: *code,
        message: String::from_utf8_lossy(message).into_owned(),
    })
}

fn tell(writer: &OwnedFd, failure: &Failure) -> ! {
    let mut text = vec![failure.exit_code];
    text.extend_from_slice(failure.message.as_bytes());
    let mut rest = text.as_slice();
    while let Ok(count @ 1..) = retry_on_intr(|| rustix::io::write(writer, rest)) {
        rest = rest.get(count..).unwrap_or_default();
    }
    kernel::exit(failure.exit_code)
}

/// The first process of the namespace.
fn first_process(task: &Task, writer: OwnedFd, connection: &OwnedFd) -> ! {
    let set_up = || -> Result<()> {
        // If the supervisor is killed nobody else would end this.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|errno| Failure::new(format!("cannot follow the supervisor: {errno}")))?;
        if task.options.root_only {
            return root::change(task);
        }
        if task.beside != 0 {
            return Ok(());
        }
        namespaces::enter_others(task.namespaces)?;
        if !task.hostname.is_empty() {
            sethostname(&task.hostname)
                .map_err(|errno| Failure::new(format!("cannot set the host name: {errno}")))?;
        }
        if task.options.loopback {
            raise_loopback()?;
        }
        root::enter(task)
    };
    if let Err(failure) = set_up() {
        tell(&writer, &failure);
    }
    if !task.options.reaper {
        tell(&writer, &become_task(task, connection));
    }
    match kernel::fork() {
        Ok(Side::Child) => tell(&writer, &become_task(task, connection)),
        Ok(Side::Parent(process)) => {
            std::mem::forget(writer);
            kernel::close_from(0);
            kernel::exit(reap_until(process))
        }
        Err(errno) => tell(
            &writer,
            &Failure::new(format!("cannot start a process: {errno}")),
        ),
    }
}

/// Becomes the process of the task; returns only where that fails.
fn become_task(task: &Task, connection: &OwnedFd) -> Failure {
    let _ = setsid();
    if task.options.terminal
        && let Err(failure) = terminal::give(task, connection)
    {
        return failure;
    }
    start::start(task)
}

/// Reaps whatever ends, until `process` does; gives its exit code.
fn reap_until(process: Pid) -> u8 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == process => {
                let code = status
                    .exit_status()
                    .or_else(|| Some(SIGNAL_BASE + status.terminating_signal()?));
                return code
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(KILLED);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return KILLED,
        }
    }
}

fn raise_loopback() -> Result<()> {
    let failed = |errno| Failure::new(format!("cannot switch the loopback interface on: {errno}"));
    let socket =
        rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(failed)?;
    kernel::raise_loopback(socket.as_fd()).map_err(failed)
}
