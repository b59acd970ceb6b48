//! Work done by several threads whose results are taken in order, in bounded memory.
//!
//! The calling thread hands out jobs and takes results; both happen in the order of the jobs, so
//! that what comes out does not depend on the number of threads.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Jobs at work or waiting to be taken, per thread.
const WINDOW: usize = 3;

struct Job<J, T> {
    job: J,
    answer: SyncSender<Result<T>>,
}

/// Calls `next` until it gives no more jobs, `work` on each in one of `threads` threads, and `take`
/// on each result. `work` gets what `state` has made for its thread.
///
/// # Errors
/// The first of a job in order, or of `next` or `take`.
pub(super) fn in_order<J: Send, T: Send, S>(
    threads: usize,
    mut next: impl FnMut() -> Result<Option<J>>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, J) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let threads = threads.max(1);
    let window = threads * WINDOW;
    let (jobs, queue) = sync_channel::<Job<J, T>>(window);
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut state = state();
                while let Some(Job { job, answer }) = receive(&queue) {
                    // Nobody listens when the export was given up.
                    let _ = answer.send(work(&mut state, job));
                }
            });
        }
        // Dropped at the end of this closure, which lets the threads end.
        let jobs = jobs;
        let mut waiting: VecDeque<Receiver<Result<T>>> = VecDeque::new();
        let mut more = true;
        loop {
            while more && waiting.len() < window {
                let Some(job) = next()? else {
                    more = false;
                    break;
                };
                let (answer, receiver) = sync_channel(1);
                let sent = jobs.send(Job { job, answer });
                sent.map_err(|_| Error::Interrupted)?;
                waiting.push_back(receiver);
            }
            let Some(receiver) = waiting.pop_front() else {
                return Ok(());
            };
            take(receiver.recv().map_err(|_| Error::Interrupted)??)?;
        }
    })
}

fn receive<T>(queue: &Mutex<Receiver<T>>) -> Option<T> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.recv().ok()
}
