//! Ending what a task leaves behind where no namespace of processes does.
//!
//! The calling process inherits every descendant whose parent ends. Killing children until there
//! are none therefore ends all of them, whatever they start meanwhile.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// Kills all descendants of this process, and waits for them.
pub(crate) fn end_all() {
    let mut options = WaitOptions::NOHANG;
    loop {
        match wait(options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                for child in children() {
                    // It may have ended meanwhile.
                    let _ = kill_process(child, Signal::KILL);
                }
                options = WaitOptions::empty();
                continue;
            }
            Err(_) => return,
        }
        options = WaitOptions::NOHANG;
    }
}

/// The children of this process, as `/proc` says.
fn children() -> Vec<Pid> {
    let own = getpid();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| parent_of(*number) == Some(own.as_raw_nonzero().get()))
        .filter_map(Pid::from_raw)
        .collect()
}

fn parent_of(process: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name before may hold blanks and brackets.
    let (_, fields) = status.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}
