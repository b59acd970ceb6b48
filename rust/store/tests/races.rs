//! Operations that meet at their worst moments, each brought about and not waited for.
//!
//! Two open stores are two processes: their locks are those of different open files. Collection
//! calls its roots at two moments of its work, and waits at a lock before it sweeps contents; the
//! tests act from there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::{Directory, FileLock};
use fastlayer_store::{
    BlobDigest, Codec, Collected, DiffId, Durability, Error, ExportOptions, FileSource,
    IngestOptions, Keep, LayerInfo, LayerWriter, Result, Store, WriterOptions,
};
use fastlayer_tar::{Entry, EntryKind, TRAILER};
use support::{TestStore, is_whole, member, only, pseudo_random};

/// Of the object that the layers of a test share.
const SHARED: usize = 300_000;

fn tar(seed: u64) -> Vec<u8> {
    let mut tar = Vec::new();
    member(&mut tar, "shared", &pseudo_random(SHARED, 0));
    member(&mut tar, "own", &pseudo_random(5_000, seed));
    tar.extend_from_slice(&TRAILER);
    tar
}

fn layer(store: &Store, seed: u64) -> LayerInfo {
    let tar = tar(seed);
    store
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap()
}

fn deferred() -> WriterOptions {
    WriterOptions {
        durability: Durability::Deferred,
        ..WriterOptions::default()
    }
}

/// Another process with the same store.
fn another(store: &Store) -> Store {
    Store::open(store.path(), false).unwrap()
}

fn collect(store: &Store, roots: impl FnMut() -> Result<Keep>) -> Collected {
    store.collect(roots, &AtomicBool::new(false)).unwrap()
}

/// Open files of this process that are `path`.
fn open_files(path: &Path) -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
    files
        .filter(|file| fs::read_link(file.path()).is_ok_and(|target| target == path))
        .count()
}

fn wait_until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a living lease names the layer by now.
fn is_leased(store: &Store, diff_id: &DiffId) -> bool {
    let leases = fs::read_dir(store.path().join("locks/leases")).unwrap();
    leases.flatten().any(|lease| {
        fs::read_to_string(lease.path()).is_ok_and(|text| text.contains(&diff_id.hex()))
    })
}

/// The contents that a sweep is about to remove are used again by a new layer.
#[test]
fn what_a_new_layer_relies_on_is_not_swept() {
    let store = TestStore::new();
    let gone = layer(&store, 1);
    let gate = store.path().canonicalize().unwrap().join("locks/gate");
    let locks = Directory::open(store.path().join("locks")).unwrap();
    let before_the_sweep = FileLock::acquire(&locks, b"gate", LockMode::Shared).unwrap();
    let collector = another(&store);
    let (made, collected) = thread::scope(|scope| {
        let collecting = scope.spawn(|| collect(&collector, || Ok(Keep::default())));
        // It has chosen what to remove, and stands before the gate.
        wait_until(|| open_files(&gate) == 2);
        let made = layer(&store, 2);
        assert!(made.added_bytes < 100_000, "the shared object is there");
        drop(before_the_sweep);
        (made, collecting.join().unwrap())
    });
    assert_eq!(collected.layers, [gone.diff_id]);
    assert_eq!(
        collected.objects, 1,
        "the own object of the layer that is gone"
    );
    is_whole(&store, &[made.diff_id]);
}

/// A lease that begins after the roots were read first, of a layer that is to go.
#[test]
fn a_lease_that_is_taken_while_roots_are_read_counts() {
    let store = TestStore::new();
    let wanted = layer(&store, 1);
    let user = another(&store);
    let mut lease = None;
    let collected = collect(&store, || {
        if lease.is_none() {
            lease = Some(user.lease().unwrap());
            assert!(user.layer(&wanted.diff_id).unwrap().is_some());
        }
        Ok(Keep::default())
    });
    assert_eq!(collected.layers, []);
    is_whole(&store, &[wanted.diff_id]);
}

/// A lease that begins when leases are read no more finds nothing instead of a half.
#[test]
fn a_lease_that_is_taken_too_late_finds_no_layer() {
    let store = TestStore::new();
    let gone = layer(&store, 1);
    let user = another(&store);
    thread::scope(|scope| {
        let (mut asked, mut late) = (0, None);
        let collected = collect(&store, || {
            asked += 1;
            if asked == 2 {
                let user = &user;
                late = Some(scope.spawn(move || {
                    let _lease = user.lease().unwrap();
                    user.layer(&gone.diff_id).unwrap()
                }));
                wait_until(|| is_leased(&store, &gone.diff_id));
            }
            Ok(Keep::default())
        });
        assert_eq!(collected.layers, [gone.diff_id]);
        assert_eq!(late.unwrap().join().unwrap(), None);
    });
    is_whole(&store, &[]);
    // It makes the layer anew.
    let again = layer(&user, 1);
    is_whole(&store, &[again.diff_id]);
}

/// A container is started from a checkout that is about to be removed with its layer.
#[test]
fn a_checkout_of_a_layer_that_goes_is_refused() {
    let store = TestStore::new();
    let gone = layer(&store, 1);
    let stop = AtomicBool::new(false);
    store.checkout(&[gone.diff_id], &stop).unwrap();
    let user = another(&store);
    // Its indexes are open: what is known must not stand for what is there.
    user.tree_index(&gone.diff_id).unwrap();
    thread::scope(|scope| {
        let (mut asked, mut late) = (0, None);
        collect(&store, || {
            asked += 1;
            if asked == 2 {
                let (user, stop) = (&user, &stop);
                late = Some(scope.spawn(move || {
                    let _lease = user.lease().unwrap();
                    let tree = user.tree_index(&gone.diff_id).map(drop);
                    (tree, user.checkout(&[gone.diff_id], stop))
                }));
                wait_until(|| is_leased(&store, &gone.diff_id));
            }
            Ok(Keep::default())
        });
        let (tree, checkout) = late.unwrap().join().unwrap();
        assert!(matches!(tree, Err(Error::NotFound { .. })), "{tree:?}");
        assert!(
            matches!(checkout, Err(Error::NotFound { .. })),
            "{checkout:?}"
        );
    });
}

/// As before, but in time: the checkout stays, and all of it.
#[test]
fn a_checkout_that_is_leased_in_time_stays() {
    let store = TestStore::new();
    let used = layer(&store, 1);
    let stop = AtomicBool::new(false);
    let user = another(&store);
    let mut held = None;
    collect(&store, || {
        if held.is_none() {
            let lease = user.lease().unwrap();
            held = Some((lease, user.checkout(&[used.diff_id], &stop).unwrap()));
        }
        Ok(Keep::default())
    });
    let (_lease, lowers) = held.unwrap();
    let content = fs::read(lowers.directories[0].join("shared")).unwrap();
    assert_eq!(content, pseudo_random(SHARED, 0));
}

/// The second one waits for the first, and sees what that has left.
#[test]
fn two_collections_go_one_after_the_other() {
    let store = TestStore::new();
    let (first, second) = (layer(&store, 1), layer(&store, 2));
    let lock = store.path().canonicalize().unwrap().join("locks/collect");
    let other = another(&store);
    let (asked, was_asked): (Sender<()>, Receiver<()>) = channel();
    thread::scope(|scope| {
        let mut later = None;
        let collected = collect(&store, || {
            if later.is_none() {
                let (other, asked) = (&other, asked.clone());
                later = Some(scope.spawn(move || {
                    collect(other, || {
                        asked.send(()).unwrap();
                        Ok(Keep::default())
                    })
                }));
                wait_until(|| open_files(&lock) == 2);
            }
            assert!(was_asked.try_recv().is_err(), "both at once");
            Ok(only(second.diff_id))
        });
        assert_eq!(collected.layers, [first.diff_id]);
        let collected = later.unwrap().join().unwrap();
        assert_eq!(collected.layers, [second.diff_id]);
    });
    is_whole(&store, &[]);
}

/// A writer that acts when the first bytes reach it.
struct Acting<F: FnMut()> {
    act: Option<F>,
    bytes: Vec<u8>,
}

impl<F: FnMut()> Write for Acting<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(mut act) = self.act.take() {
            act();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is being saved is pruned: all of it still comes out.
#[test]
fn an_export_under_a_lease_is_not_pruned() {
    let store = TestStore::new();
    let saved = layer(&store, 1);
    let collector = another(&store);
    let _lease = store.lease().unwrap();
    assert!(store.layer(&saved.diff_id).unwrap().is_some());
    for codec in [Codec::None, Codec::Zstd] {
        let mut output = Acting {
            act: Some(|| assert_eq!(collect(&collector, || Ok(Keep::default())).layers, [])),
            bytes: Vec::new(),
        };
        let options = ExportOptions::new(codec);
        store
            .export(&saved.diff_id, &options, &mut output, &mut |_| {})
            .unwrap();
        let mut plain = Vec::new();
        fastlayer_store::decompress::decompress(output.bytes.as_slice(), &mut plain).unwrap();
        assert_eq!(DiffId::of(&plain), saved.diff_id);
    }
}

/// Without a lease it fails, and does not take a part for the whole.
#[test]
fn what_is_pruned_while_it_is_read_is_an_error() {
    let store = TestStore::new();
    let gone = layer(&store, 1);
    let collector = another(&store);
    let mut output = Acting {
        act: Some(|| assert_eq!(collect(&collector, || Ok(Keep::default())).layers.len(), 1)),
        bytes: Vec::new(),
    };
    let result = store.write_tar(&gone.diff_id, &mut output, &AtomicBool::new(false));
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
}

/// A source that says when it is read, and goes on when it may.
struct Held {
    bytes: Vec<u8>,
    reached: Option<Sender<()>>,
    go_on: Receiver<()>,
}

impl Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(reached) = self.reached.take() {
            reached.send(()).unwrap();
            self.go_on.recv().unwrap();
        }
        let count = buffer.len().min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Ok(count)
    }
}

/// A source that must not be read.
struct Untouched;

impl Read for Untouched {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("the work is done twice");
    }
}

/// Two import the same blob: one reads it, the other finds the layer.
#[test]
fn one_blob_is_taken_in_once() {
    let store = TestStore::new();
    let bytes = tar(1);
    let options = IngestOptions {
        blob_digest: Some(BlobDigest::of(&bytes)),
        diff_id: Some(DiffId::of(&bytes)),
        ..IngestOptions::default()
    };
    let flight = format!("locks/blob-{}", BlobDigest::of(&bytes).hex());
    let flight: PathBuf = store.path().canonicalize().unwrap().join(flight);
    let (reached, is_reached) = channel();
    let (go, go_on) = channel();
    let (first, second) = (another(&store), another(&store));
    thread::scope(|scope| {
        let held = Held {
            bytes,
            reached: Some(reached),
            go_on,
        };
        let same = options.clone();
        let working = scope.spawn(move || first.ingest(held, same, &mut |_| {}).unwrap());
        is_reached.recv().unwrap();
        let waiting = scope.spawn(move || second.ingest(Untouched, options, &mut |_| {}).unwrap());
        wait_until(|| open_files(&flight) == 2);
        go.send(()).unwrap();
        let (made, found) = (working.join().unwrap(), waiting.join().unwrap());
        assert!(made.added_bytes > SHARED as u64);
        assert_eq!((found.diff_id, found.added_bytes), (made.diff_id, 0));
        is_whole(&store, &[made.diff_id]);
    });
}

/// A layer that is not durable.
fn unsynced_layer(store: &Store) -> LayerInfo {
    let options = IngestOptions {
        writer: deferred(),
        ..IngestOptions::default()
    };
    store
        .ingest(tar(1).as_slice(), options, &mut |_| {})
        .unwrap()
}

/// Contents of one process that are not on disk yet are part of another's layer, which is.
#[test]
fn what_another_has_not_synced_is_synced_with_what_relies_on_it() {
    let store = TestStore::new();
    let other = another(&store);
    let first = unsynced_layer(&store);
    // The other has found the object where it is not durable, and then it moves.
    let mut writer = LayerWriter::new(&other, WriterOptions::default()).unwrap();
    let mut entry = Entry::new("again", EntryKind::File);
    entry.size = SHARED as u64;
    let content = pseudo_random(SHARED, 0);
    writer.file(&entry, FileSource::Bytes(content)).unwrap();
    store.sync().unwrap();
    let second = writer.finish_canonical().unwrap();
    assert!(second.added_bytes < 100_000, "nothing is stored twice");
    let third = layer(&other, 3);
    after_a_crash(&store, &[first.diff_id, second.diff_id, third.diff_id]);
}

/// A durable layer takes along what it relies on, whoever made that.
#[test]
fn a_sync_covers_the_contents_of_others() {
    let store = TestStore::new();
    let other = another(&store);
    let lost = unsynced_layer(&store);
    let durable = layer(&other, 2);
    assert!(durable.added_bytes < 100_000, "the object of the first");
    after_a_crash(&store, &[lost.diff_id, durable.diff_id]);
}

/// What is there when the machine was lost after the last sync: `layers`, whole.
fn after_a_crash(store: &Store, layers: &[DiffId]) {
    let copy = tempfile::tempdir().unwrap();
    let root = copy.path().join("store");
    let source = [store.path(), root.as_path()].map(|path| path.to_str().unwrap().to_owned());
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args(source)
        .status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(root.join("unsynced")).unwrap();
    let mut layers = layers.to_vec();
    layers.sort_unstable();
    is_whole(&Store::open(&root, false).unwrap(), &layers);
}
