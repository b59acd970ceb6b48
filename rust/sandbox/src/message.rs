//! What a supervisor and whoever asked for the task tell each other, one packet a message.

use std::os::fd::AsFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::Signal;

use crate::failure::Failure;

/// The longest text of a failure that is told.
const MAX_TEXT: usize = 4000;

/// What a supervisor tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The process has a terminal: its other side comes with the message, and an answer is awaited.
    Terminal,
    /// The process runs: the id of the first process of its namespace.
    Started(i32),
    /// The process could not be started. The last message.
    Failed(Failure),
    /// The process has ended, and all others with it: its exit code. The last message.
    Exited(i32),
}

impl Message {
    /// The message as bytes: a letter, a number (`i32`, little-endian), a text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (letter, number, text) = match self {
            Self::Terminal => (b'T', 0, ""),
            Self::Started(pid) => (b'S', *pid, ""),
            Self::Failed(failure) => (b'F', failure.exit_code.into(), failure.message.as_str()),
            Self::Exited(code) => (b'X', *code, ""),
        };
        let text = &text.as_bytes()[..text.len().min(MAX_TEXT)];
        [&[letter], number.to_le_bytes().as_slice(), text].concat()
    }

    /// Sends it over a socket of packets.
    pub(crate) fn send(&self, socket: impl AsFd) -> Result<(), Errno> {
        let bytes = self.encode();
        retry_on_intr(|| send(&socket, &bytes, SendFlags::NOSIGNAL)).map(drop)
    }

    /// The signal that is asked for; nothing where the other side hung up.
    pub(crate) fn receive_signal(socket: impl AsFd) -> Option<Signal> {
        let mut buffer = [0_u8; 4];
        let (count, _) = retry_on_intr(|| recv(&socket, &mut buffer, RecvFlags::empty())).ok()?;
        if count != buffer.len() {
            return None;
        }
        Signal::from_named_raw(i32::from_le_bytes(buffer))
    }
}
