//! Making objects durable while the large layer that they belong to is still being made.
//!
//! A sync at the end alone leaves the disk idle for as long as the processors work, and the other
//! way round. One that comes early needs nothing of the later ones: what it has moved to its lasting
//! place was on disk before, and what it has not, the last sync moves. It may fail: the store is
//! opened once more for it, so the kernel tells the last sync of a failure to write, too.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Builder;

use crate::store::Store;

/// Bytes of new objects between two syncs.
const STRIDE: u64 = 128 << 20;

/// Counts the new objects of a layer, and has them made durable when they are many.
pub(crate) struct NewObjects {
    store: Store,
    bytes: AtomicU64,
    /// Wakes the thread that syncs; none where it could not be started.
    wake: OnceLock<Option<SyncSender<()>>>,
}

impl NewObjects {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            bytes: AtomicU64::new(0),
            wake: OnceLock::new(),
        }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many bytes have become objects.
    pub(crate) fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / STRIDE == (before + bytes) / STRIDE {
            return;
        }
        if let Some(wake) = self.wake.get_or_init(|| start(&self.store)) {
            // Where it is busy, the next stride or the last sync will see these, too.
            let _ = wake.try_send(());
        }
    }
}

/// The thread ends with the layer, or with the sync that it is at: nobody waits for it, and whoever
/// syncs at the end waits for its lock.
fn start(store: &Store) -> Option<SyncSender<()>> {
    let path = store.path().to_owned();
    let (wake, calls) = sync_channel::<()>(0);
    let work = move || {
        if let Ok(store) = Store::open(&path, false) {
            while store.sync().is_ok() && calls.recv().is_ok() {}
        }
    };
    let thread = Builder::new().name("fastlayer-sync".to_owned());
    thread.spawn(work).ok()?;
    Some(wake)
}
