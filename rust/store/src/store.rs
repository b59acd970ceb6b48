//! Opening a store, and the directories it is made of.
//!
//! ```text
//! format.json       what this is, and its version
//! objects/ab/cdef…  file contents, by BLAKE3
//! segments/ab/cdef… pieces of tars, by BLAKE3
//! recipes/HEX       layers, by DiffID
//! trees/HEX         tree indexes, derived from the layers
//! checkouts/        layers laid out for mounting
//! blobs/sha256/HEX  documents, and blobs as they came in
//! refs/ containers/ kept by the users of this crate
//! locks/            files to be locked; never removed
//! staging/ trash/   work in progress; what is on its way out
//! unsynced/TOKEN/   objects, segments, recipes and trees that are not known to be on disk yet
//! ```
//!
//! Invariant: what lies in `objects`, `segments` and `recipes` was on disk before it got its name
//! there. Everything is written below `unsynced/TOKEN` first and moved by [`Store::sync`]; after a
//! crash the token is another one, and what bears an old token is removed unread.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::{Directory, FileLock, remove_tree, write_atomic};
use rustix::fs::{Mode, StatVfsMountFlags, fchmod, fstatvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::area::Area;
use crate::checkout::Ladder;
use crate::error::{Error, Result};
use crate::lease::Leases;
use crate::open_indexes::OpenIndexes;

/// Version of the store's layout; another one is refused.
pub const STORE_VERSION: u64 = 1;
/// Overrides the token of what is not on disk yet; tests play a crash with it.
pub const TOKEN_VARIABLE: &str = "FASTLAYER_SYNC_TOKEN";

const FORMAT_FILE: &[u8] = b"format.json";
const FORMAT_NAME: &str = "fastlayer store";
/// Names in `trash` for what collection may bring back.
pub(crate) const SET_ASIDE: [&[u8]; 2] = [b"recipes", b"blobs"];
const PRIVATE: u32 = 0o700;
const DIRECTORIES: [&[u8]; 11] = [
    b"objects",
    b"segments",
    b"recipes",
    b"trees",
    b"checkouts",
    b"blobs",
    b"staging",
    b"trash",
    b"locks",
    b"refs",
    b"containers",
];

/// An open layer store; clones are the same one.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
    /// Whether what is in the way of a write is read before it counts.
    distrusts: bool,
}

#[derive(Debug)]
struct Inner {
    root: Directory,
    path: PathBuf,
    /// What is on disk.
    durable: Area,
    /// What may still be in memory only.
    unsynced: Area,
    blobs: Directory,
    locks: Directory,
    staging: Directory,
    trash: Directory,
    checkouts: Directory,
    indexes: OpenIndexes,
    token: String,
    leases: Leases,
    /// Whether this open store is collecting: its own roots then read what it has set aside.
    collecting: AtomicBool,
    ladder: RwLock<Ladder>,
    /// Whether files of the store can share blocks, once it was asked.
    shares_blocks: OnceLock<bool>,
    /// Whether mounts follow stubs, once it was asked.
    follows_stubs: OnceLock<bool>,
    /// Says that a process uses this token's area; held shared for the life of the store.
    _token_lock: FileLock,
}

impl Store {
    /// Opens the store at `root`; with `create`, makes it where there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a store there, [`Error::Conflict`] when it belongs to somebody
    /// else or is read-only, [`Error::Format`] when it is none, [`Error::Version`].
    pub fn open(root: &Path, create: bool) -> Result<Self> {
        let path = std::path::absolute(root).map_err(|source| Error::io(root.display(), source))?;
        if create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(PRIVATE)
                .create(&path)
                .map_err(|source| Error::io(path.display(), source))?;
        }
        let root = match Directory::open(&path) {
            Err(error) if error.is_not_found() => {
                return Err(Error::not_found(format!("store {}", path.display())));
            }
            root => root?,
        };
        check_access(&root)?;
        check_format(&root, create)?;
        Self::assemble(root, path)
    }

    fn assemble(root: Directory, path: PathBuf) -> Result<Self> {
        let locks = root.ensure_child(b"locks", PRIVATE)?;
        let trash = root.ensure_child(b"trash", PRIVATE)?;
        let token = token(&root)?;
        let areas = root.ensure_child(b"unsynced", PRIVATE)?;
        let lock = FileLock::acquire(&locks, &token_lock(&token), LockMode::Shared)?;
        drop_stale_areas(&areas, &locks, &trash, &token)?;
        let unsynced = areas.ensure_child(token.as_bytes(), PRIVATE)?;
        let store = Self {
            inner: Arc::new(Inner {
                durable: Area::open(&root)?,
                unsynced: Area::open(&unsynced)?,
                blobs: root
                    .ensure_child(b"blobs", PRIVATE)?
                    .ensure_child(b"sha256", PRIVATE)?,
                staging: root.ensure_child(b"staging", PRIVATE)?,
                checkouts: root.ensure_child(b"checkouts", PRIVATE)?,
                indexes: OpenIndexes::default(),
                locks,
                trash,
                root,
                path,
                token,
                leases: Leases::default(),
                collecting: AtomicBool::new(false),
                ladder: RwLock::default(),
                shares_blocks: OnceLock::new(),
                follows_stubs: OnceLock::new(),
                _token_lock: lock,
            }),
            distrusts: false,
        };
        store.recover_set_aside()?;
        Ok(store)
    }

    /// This store for storing layers again that may be damaged: what is there of them already is
    /// read, and replaced where it is not whole.
    #[must_use]
    pub fn distrusting(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            distrusts: true,
        }
    }

    pub(crate) fn distrusts(&self) -> bool {
        self.distrusts
    }

    /// The store's absolute path.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The store's own directory.
    pub fn root(&self) -> &Directory {
        &self.inner.root
    }

    /// Where documents and blobs lie, by the hexadecimal digits of their digest.
    pub fn blobs(&self) -> &Directory {
        &self.inner.blobs
    }

    /// Where layers are laid out for mounting. A checkout is derived and never on disk for sure:
    /// whoever makes one must mark it with [`Store::token`] and make it anew under another token.
    pub fn checkouts(&self) -> &Directory {
        &self.inner.checkouts
    }

    /// Work in progress that a crash may leave behind; on the store's file system.
    pub fn staging(&self) -> &Directory {
        &self.inner.staging
    }

    /// What is on its way out; on the store's file system.
    pub fn trash(&self) -> &Directory {
        &self.inner.trash
    }

    /// Names a time in which the kernel has not forgotten what was written: it changes when the
    /// machine starts anew, so what was marked with it before may be incomplete.
    pub fn token(&self) -> &str {
        &self.inner.token
    }

    /// Sets by which rungs the files of new checkouts come.
    pub fn set_ladder(&self, ladder: Ladder) {
        *self
            .inner
            .ladder
            .write()
            .unwrap_or_else(PoisonError::into_inner) = ladder;
    }

    pub(crate) fn ladder(&self) -> Ladder {
        *self
            .inner
            .ladder
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files of the store can share blocks; `find_out` is asked the first time.
    pub(crate) fn shares_blocks(&self, find_out: impl FnOnce() -> Result<bool>) -> Result<bool> {
        known_or(&self.inner.shares_blocks, find_out)
    }

    /// Whether mounts follow stubs; `find_out` is asked the first time.
    pub(crate) fn follows_stubs(&self, find_out: impl FnOnce() -> Result<bool>) -> Result<bool> {
        known_or(&self.inner.follows_stubs, find_out)
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.inner.leases
    }

    pub(crate) fn collecting(&self) -> &AtomicBool {
        &self.inner.collecting
    }

    pub(crate) fn locks(&self) -> &Directory {
        &self.inner.locks
    }

    pub(crate) fn durable(&self) -> &Area {
        &self.inner.durable
    }

    pub(crate) fn indexes(&self) -> &OpenIndexes {
        &self.inner.indexes
    }

    pub(crate) fn unsynced(&self) -> &Area {
        &self.inner.unsynced
    }
}

fn known_or(answer: &OnceLock<bool>, find_out: impl FnOnce() -> Result<bool>) -> Result<bool> {
    if let Some(known) = answer.get() {
        return Ok(*known);
    }
    let found = find_out()?;
    Ok(*answer.get_or_init(|| found))
}

/// Refuses a root that we could read, but not keep consistent.
fn check_access(root: &Directory) -> Result<()> {
    let metadata = root.metadata()?;
    let what = format!("store {}", root.path().display());
    if metadata.uid != geteuid().as_raw() {
        let detail = format!(
            "belongs to user {}, not to user {}",
            metadata.uid,
            geteuid().as_raw()
        );
        return Err(Error::conflict(what, detail));
    }
    let mount = fstatvfs(root).map_err(|errno| Error::io(&what, errno))?;
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Error::conflict(what, "its file system is read-only"));
    }
    Ok(())
}

/// Checks the version of a store, or makes a store of an empty directory.
fn check_format(root: &Directory, create: bool) -> Result<()> {
    let name = root.path().display();
    match root.find_child(FORMAT_FILE)? {
        Some(_) => check_version(root)?,
        None if !create => return Err(Error::not_found(format!("store {name}"))),
        None => {
            let entries = root.entries()?;
            if entries.iter().any(|entry| !is_ours(entry.name)) {
                return Err(Error::format(
                    name,
                    "is neither empty nor a fastlayer store",
                ));
            }
            // What the directory above it would have its files inherit has no place in layers.
            for inherited in [&b"system.posix_acl_default"[..], b"system.posix_acl_access"] {
                match fastlayer_fs::xattr::remove(root, inherited) {
                    Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                    removed => removed.map_err(|errno| Error::io(&name, errno))?,
                }
            }
            for directory in DIRECTORIES {
                root.ensure_child(directory, PRIVATE)?;
            }
            let text = format!("{{\"format\": \"{FORMAT_NAME}\", \"version\": {STORE_VERSION}}}\n");
            write_atomic(root, FORMAT_FILE, 0o600, text.as_bytes(), true)?;
        }
    }
    // Set-user-id programs and other people's secrets lie in here.
    if root.metadata()?.mode & 0o077 != 0 {
        fchmod(root, Mode::from_raw_mode(PRIVATE)).map_err(|errno| Error::io(name, errno))?;
    }
    Ok(())
}

/// What another process that makes the same store may have made already.
fn is_ours(name: &[u8]) -> bool {
    name.starts_with(fastlayer_fs::publish::TEMPORARY_PREFIX.as_bytes())
        || name == FORMAT_FILE
        || name == b"unsynced"
        || DIRECTORIES.contains(&name)
}

fn check_version(root: &Directory) -> Result<()> {
    let path = root.path_to(FORMAT_FILE);
    let text = std::io::read_to_string(root.open_file(FORMAT_FILE)?)
        .map_err(|source| Error::io(path.display(), source))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| Error::format(path.display(), error))?;
    if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT_NAME) {
        return Err(Error::format(path.display(), "is not of a fastlayer store"));
    }
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(STORE_VERSION) => Ok(()),
        Some(version) => Err(Error::Version {
            what: format!("the store {}", root.path().display()),
            found: version,
            known: STORE_VERSION,
        }),
        None => Err(Error::format(path.display(), "has no version")),
    }
}

/// The token is the boot and the device: within one boot, an unmounted file system was written
/// out. The id of the mount is not part of it, since every mount namespace has its own for one and
/// the same file system, and two processes must not throw away each other's work.
fn token(root: &Directory) -> Result<String> {
    if let Some(token) = std::env::var_os(TOKEN_VARIABLE) {
        let text = token.to_string_lossy().into_owned();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) {
            return Err(Error::format(
                TOKEN_VARIABLE,
                "takes letters, digits and hyphens",
            ));
        }
        return Ok(text);
    }
    Ok(format!("{}-{:x}", boot_id()?, root.metadata()?.dev))
}

/// Names the time since the machine was started.
pub(crate) fn boot_id() -> Result<String> {
    const BOOT: &str = "/proc/sys/kernel/random/boot_id";
    let boot = std::fs::read_to_string(BOOT).map_err(|source| Error::io(BOOT, source))?;
    Ok(boot.trim().to_owned())
}

fn token_lock(token: &str) -> Vec<u8> {
    format!("token-{token}").into_bytes()
}

/// Removes the areas of other tokens, unless a living process holds one (on a network file system
/// it may be another machine's).
fn drop_stale_areas(
    areas: &Directory,
    locks: &Directory,
    trash: &Directory,
    token: &str,
) -> Result<()> {
    for entry in areas.entries()?.iter() {
        if entry.name == token.as_bytes() {
            continue;
        }
        let name = token_lock(&String::from_utf8_lossy(entry.name));
        let Some(_lock) = FileLock::try_acquire(locks, &name, LockMode::Exclusive)? else {
            continue;
        };
        let doomed = fastlayer_fs::publish::temporary_name();
        match areas.rename_to(entry.name, trash, &doomed) {
            Err(error) if error.is_not_found() => continue,
            result => result?,
        }
        remove_tree(trash, &doomed)?;
    }
    Ok(())
}
