//! A thread in a mount namespace of its own, and the requests it serves.

#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::{Error, Result};
use crate::overlay::{self, Overlay};
use crate::program::{self, Program};

/// `UMOUNT_NOFOLLOW`: a link in the mount point's place is not what was mounted.
const NO_FOLLOW: UnmountFlags = UnmountFlags::from_bits_retain(8);

type Request = Box<dyn FnOnce() + Send>;

/// A thread of this process in a mount namespace of its own.
///
/// Requests are served one at a time and each call waits for its answer. Mounts made here are not
/// seen outside; what was mounted outside before is seen here, and changes on neither side reach
/// the other. Dropping it ends the thread, and the namespace with it once no program that was
/// started in it is left.
#[derive(Debug)]
pub struct MountNamespace {
    thread: Mutex<Option<(Sender<Request>, JoinHandle<()>)>>,
}

impl MountNamespace {
    /// Starts the thread and enters a new namespace.
    ///
    /// # Errors
    /// [`Error::Privilege`] without `CAP_SYS_ADMIN`.
    pub fn new() -> Result<Self> {
        let (requests, receiver) = channel();
        let (answer, entered) = channel();
        let thread = std::thread::Builder::new()
            .name("mount-namespace".to_owned())
            .spawn(move || serve(&receiver, &answer))
            .map_err(|source| Error::of("start a thread for", "a mount namespace", source))?;
        entered.recv().map_err(|_| Error::Closed)??;
        Ok(Self {
            thread: Mutex::new(Some((requests, thread))),
        })
    }

    /// Mounts an overlay on the directory `target`.
    ///
    /// # Errors
    /// [`Error::System`] with what the kernel wrote about it, [`Error::TooManyLayers`].
    pub fn mount_overlay(&self, overlay: Overlay, target: &Path) -> Result<()> {
        let target = target.to_path_buf();
        self.call(move || overlay::mount(&overlay, &target))?
    }

    /// Takes the topmost mount at `target` out of sight at once; it goes away when its last user
    /// does.
    ///
    /// # Errors
    /// [`Error::System`] where nothing is mounted there.
    pub fn unmount(&self, target: &Path) -> Result<()> {
        let target = target.to_path_buf();
        self.call(move || {
            unmount(&target, UnmountFlags::DETACH | NO_FOLLOW)
                .map_err(|errno| Error::of("unmount", target, errno))
        })?
    }

    /// Starts a program in the namespace, in a session of its own, and gives its process id. The
    /// caller reaps it, with `waitpid`.
    ///
    /// # Errors
    /// [`Error::Start`] where the program cannot be executed, or its directory is missing.
    pub fn spawn(&self, program: &Program<'_>) -> Result<u32> {
        let prepared = program::prepare(program)?;
        self.call(move || program::start(prepared))?
    }

    /// Ends the thread; waits for it. Every later request is refused.
    pub fn close(&self) {
        let taken = self.lock().take();
        if let Some((requests, thread)) = taken {
            drop(requests);
            // A panic in a request was already told to whoever made it.
            let _ = thread.join();
        }
    }

    /// Runs `request` on the thread and waits for what it returns.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = channel();
        let request: Request = Box::new(move || {
            // Whoever asked is gone only if its thread died.
            let _ = answer.send(request());
        });
        match self.lock().as_ref() {
            Some((requests, _)) => requests.send(request).map_err(|_| Error::Closed)?,
            None => return Err(Error::Closed),
        }
        answered.recv().map_err(|_| Error::Closed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Sender<Request>, JoinHandle<()>)>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(requests: &Receiver<Request>, entered: &Sender<Result<()>>) {
    let result = enter();
    let failed = result.is_err();
    if entered.send(result).is_err() || failed {
        return;
    }
    for request in requests {
        request();
    }
}

fn enter() -> Result<()> {
    // SAFETY: only the mount namespace and the working directory become this thread's own; the
    // table of file descriptors stays shared, so no descriptor changes its meaning.
    unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }
        .map_err(|errno| Error::of("make", "a mount namespace", errno))?;
    // A copied mount is still in the propagation group of the original: leave it.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)
        .map_err(|errno| Error::of("make private the mounts below", PathBuf::from("/"), errno))
}
