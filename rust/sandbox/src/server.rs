//! The process that is kept for a build: it forks a supervisor for every task that it is sent.
//!
//! A fork of a small process with one thread costs a fraction of what starting a program does.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::kernel::{self, Side};
use crate::message::Message;
use crate::supervisor::{Streams, supervise};
use crate::task::Task;

/// Descriptors of a request: the task (a file), three streams, the connection.
const DESCRIPTORS: usize = 5;
/// The longest task that is read.
const MAX_TASK: u64 = 64 << 20;

/// Serves requests that come over `socket`, a socket of packets, until it ends.
///
/// A request is one byte and five descriptors: a file that holds the task, standard input, output
/// and error output, and the connection over which the task's supervisor talks. The process must
/// have one thread.
///
/// # Errors
/// [`Error::System`] where the socket fails.
pub fn serve(socket: &OwnedFd) -> Result<()> {
    kernel::ignore_children();
    loop {
        match receive(socket)? {
            None => return Ok(()),
            Some(request) => begin(request),
        }
    }
}

struct Request {
    task: OwnedFd,
    streams: Streams,
}

fn receive(socket: &OwnedFd) -> Result<Option<Request>> {
    loop {
        let mut byte = [0_u8; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut byte)];
            recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })
        .map_err(|errno| Error::of("read requests from", "a socket", errno))?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            continue;
        }
        if let Ok([task, input, output, error, connection]) =
            <[OwnedFd; DESCRIPTORS]>::try_from(descriptors)
        {
            return Ok(Some(Request {
                task,
                streams: Streams {
                    standard: [input, output, error],
                    connection,
                },
            }));
        }
    }
}

fn begin(request: Request) {
    let Request { task, streams } = request;
    match kernel::fork() {
        Ok(Side::Child) => match read_task(task) {
            Ok(task) => supervise(&task, streams),
            Err(failure) => refuse(&streams, failure),
        },
        Ok(Side::Parent(_)) => {}
        Err(errno) => {
            let failure = Failure::new(format!("cannot start a process: {errno}"));
            let _ = Message::Failed(failure).send(streams.connection.as_fd());
        }
    }
}

fn refuse(streams: &Streams, failure: Failure) -> ! {
    let _ = Message::Failed(failure).send(streams.connection.as_fd());
    kernel::exit(0)
}

fn read_task(file: OwnedFd) -> std::result::Result<Task, Failure> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::from(file);
    let mut bytes = Vec::new();
    let failed = |source: std::io::Error| Failure::new(format!("cannot read the task: {source}"));
    file.rewind().map_err(failed)?;
    file.take(MAX_TASK)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Task::decode(&bytes)?)
}
