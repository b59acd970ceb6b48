//! Long calls: detached from the interpreter, stopped by Ctrl-C, with progress.
//!
//! The work runs on a thread of its own; the calling thread waits for it without the interpreter
//! lock, polls signals, and calls the progress function. When a signal or the progress function
//! raises, the work is told to stop and is waited for, so that the store is consistent when
//! control returns. The worker never attaches to the interpreter.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use fastlayer_store::{Error, Progress};
use pyo3::prelude::*;

use crate::errors;

/// Bytes of stack for the work: walks of trees recurse as deep as paths may be.
const STACK: usize = 32 << 20;

/// How often signals and progress are looked at.
const POLL: Duration = Duration::from_millis(50);

/// What a running call and its waiter share.
#[derive(Debug, Default)]
pub struct Job {
    /// Set when the work shall stop.
    pub cancel: Arc<AtomicBool>,
    /// How far the work is.
    pub progress: Arc<Progress>,
}

/// Runs `work` on a thread of its own and waits for it.
pub fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Job) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let job = Job::default();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let job = &job;
        let worker = thread::Builder::new().stack_size(STACK);
        let worker = worker.spawn_scoped(scope, move || {
            let result = work(job);
            // The waiter is always there: it leaves only after this thread has ended.
            let _ = sender.send(());
            result
        })?;
        let mut receiver = receiver;
        let mut raised = None;
        loop {
            let (state, returned) = py.detach(move || (receiver.recv_timeout(POLL), receiver));
            receiver = returned;
            if !matches!(state, Err(RecvTimeoutError::Timeout)) {
                break;
            }
            if raised.is_none()
                && let Err(error) = look(py, progress, job)
            {
                job.cancel.store(true, Ordering::Relaxed);
                raised = Some(error);
            }
        }
        let result = py.detach(|| worker.join());
        match (raised, result) {
            (Some(error), _) => Err(error),
            (None, Ok(Ok(value))) => Ok(value),
            (None, Ok(Err(error))) => Err(errors::convert(py, error)),
            (None, Err(payload)) => Err(errors::internal(py, &panic_text(payload.as_ref()))),
        }
    })
}

/// Runs a call of less than a millisecond, detached but on this thread.
pub fn short<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(|error| errors::convert(py, error))
}

fn look(py: Python<'_>, progress: Option<&Bound<'_, PyAny>>, job: &Job) -> PyResult<()> {
    py.check_signals()?;
    if let Some(function) = progress {
        function.call1((job.progress.done(), job.progress.total()))?;
    }
    Ok(())
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
