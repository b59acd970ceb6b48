//! The terminal of a sandbox's process.
//!
//! It is made in the sandbox's own `/dev/pts`, so that the process finds its name there. The other
//! side goes over the connection to whoever asked, who answers when its size is set: so no program
//! sees a terminal without one.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Gid, Uid, fchown};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};

use crate::failure::Failure;
use crate::message::Message;
use crate::task::Task;
use crate::{kernel, root};

type Result<T> = std::result::Result<T, Failure>;

/// Where the terminal of a container's first process is found, too.
const CONSOLE: &[u8] = b"/dev/console";

/// Gives this process, which leads a session, a terminal for its standard streams.
pub(crate) fn give(task: &Task, connection: &OwnedFd) -> Result<()> {
    let failed = |errno| Failure::new(format!("cannot make a terminal: {errno}"));
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let other_side = openpt(flags).map_err(failed)?;
    unlockpt(&other_side).map_err(failed)?;
    let terminal = ioctl_tiocgptpeer(&other_side, flags).map_err(failed)?;
    // Whoever the process becomes may open its terminal again; with a single id there is one only.
    let owner = Uid::from_raw(task.uid);
    match fchown(&terminal, Some(owner), None::<Gid>) {
        Err(errno) if errno != Errno::INVAL && errno != Errno::PERM => return Err(failed(errno)),
        _ => {}
    }
    if task.beside == 0 {
        let name = ptsname(&other_side, Vec::new()).map_err(failed)?;
        let name = name.to_string_lossy().into_owned();
        root::show_at(Path::new(&name), CONSOLE)?;
    }
    hand_over(other_side.as_fd(), connection).map_err(failed)?;
    ioctl_tiocsctty(&terminal).map_err(failed)?;
    for number in 0..3 {
        kernel::place(terminal.as_fd(), number).map_err(failed)?;
    }
    Ok(())
}

/// Sends the other side, and waits for the answer: any packet. Nothing else is read from the
/// connection before the process has started.
fn hand_over(other_side: BorrowedFd<'_>, connection: &OwnedFd) -> std::result::Result<(), Errno> {
    let bytes = Message::Terminal.encode();
    let descriptors = [other_side];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    let parts = [IoSlice::new(&bytes)];
    retry_on_intr(|| sendmsg(connection, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
    let mut answer = [0_u8; 4];
    match retry_on_intr(|| recv(connection, &mut answer, RecvFlags::empty()))? {
        (0, _) => Err(Errno::PIPE),
        _ => Ok(()),
    }
}
