//! Other readers to compare with: Python's standard library, in one process that answers many
//! questions, and programs that are run once for each.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = include_str!("peer.py");

/// A Python that reads what it is sent.
pub(crate) struct Python {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Python {
    pub(crate) fn new() -> Self {
        let mut child = Command::new("python3")
            .args(["-I", "-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        Self {
            input: child.stdin.take().expect("a pipe"),
            output: child.stdout.take().expect("a pipe"),
            child,
        }
    }

    /// What Python makes of `bytes`; `None` where it refuses them. `kind` is a letter of the
    /// script.
    pub(crate) fn ask(&mut self, kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
        let length = u32::try_from(bytes.len()).expect("a short input");
        let mut question = vec![kind];
        question.extend(length.to_le_bytes());
        question.extend(bytes);
        self.input.write_all(&question).expect("a question");
        let mut head = [0; 5];
        self.output.read_exact(&mut head).expect("an answer");
        let length = head[1..]
            .first_chunk()
            .map(|length| u32::from_le_bytes(*length));
        let mut answer = vec![0; length.map_or(0, |length| length as usize)];
        self.output.read_exact(&mut answer).expect("all of it");
        (head[0] == b'y').then_some(answer)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program writes for `input`; `None` when it fails.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| unreachable!("{program}: {error}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    // Inputs fit a pipe, or the program reads all before it writes; it may also end early.
    let _ = pipe.write_all(input);
    drop(pipe);
    let output = child.wait_with_output().expect("its output");
    output.status.success().then_some(output.stdout)
}
