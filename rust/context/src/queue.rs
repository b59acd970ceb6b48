//! Work that makes more work, shared by a few threads.
//!
//! Each thread works through what it made itself and gives some of it away only when another has
//! run out: the common path takes no lock. The work is done when all threads have run out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// What has been given away and not been taken yet.
pub(crate) struct WorkQueue<T> {
    shared: Mutex<Vec<T>>,
    changed: Condvar,
    idle: AtomicUsize,
    threads: usize,
}

impl<T> WorkQueue<T> {
    /// A queue of one job for `threads` threads.
    pub(crate) fn new(first: T, threads: usize) -> Self {
        Self {
            shared: Mutex::new(vec![first]),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            threads,
        }
    }

    /// A job, once there is one; `None` when there will be no more.
    pub(crate) fn take(&self) -> Option<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = shared.pop() {
            return Some(job);
        }
        // Only changed with the lock held: a thread that is seen idle here gives nothing more.
        if self.idle.fetch_add(1, Ordering::Relaxed) + 1 == self.threads {
            self.changed.notify_all();
            return None;
        }
        loop {
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(job) = shared.pop() {
                self.idle.fetch_sub(1, Ordering::Relaxed);
                return Some(job);
            }
            if self.idle.load(Ordering::Relaxed) == self.threads {
                return None;
            }
        }
    }

    /// Gives the older half of `own` away when a thread has nothing to do.
    pub(crate) fn share(&self, own: &mut Vec<T>) {
        if own.len() < 2 || self.idle.load(Ordering::Relaxed) == 0 {
            return;
        }
        let half = own.len() / 2;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.extend(own.drain(..half));
        drop(shared);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::in_threads;

    #[test]
    fn every_job_is_done_once() {
        for threads in 1..5 {
            let queue = WorkQueue::new(12_u32, threads);
            let counts = in_threads(threads, &|| {
                let (mut own, mut count) = (Vec::new(), 0_u32);
                while let Some(job) = own.pop().or_else(|| queue.take()) {
                    count += 1;
                    if job > 0 {
                        own.extend([job - 1, job - 1]);
                    }
                    queue.share(&mut own);
                }
                count
            });
            assert_eq!(counts.iter().sum::<u32>(), (1 << 13) - 1);
        }
    }
}
