//! A context: a root directory, its ignore rules and its stat cache.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use fastlayer_fs::filesystem::FileSystem;
use fastlayer_fs::{Directory, Kind, Metadata, RootDir, xattr};
use rustix::io::Errno;

use crate::content::ContentHash;
use crate::entry::{Entry, split_path};
use crate::error::{Error, Result, shown};
use crate::glob;
use crate::hashing::hash_files;
use crate::ignore::IgnoreMatcher;
use crate::stat_cache::{Known, StatCache};
use crate::walk::{FilterState, Trust, Walker, portable_xattrs};

/// Threads of a walk and of hashing. More do not help: the page cache is the limit.
const MAX_THREADS: usize = 4;

/// A build context on disk, seen through its ignore rules.
#[derive(Debug)]
pub struct Context {
    root: RootDir,
    matcher: IgnoreMatcher,
    cache: RwLock<StatCache>,
    cache_path: Option<PathBuf>,
    trust: Trust,
    threads: usize,
}

/// What a walk leaves out besides what the ignore rules do.
#[derive(Clone, Copy, Debug, Default)]
pub struct WalkOptions<'a> {
    /// More to leave out (`COPY --exclude`), by paths relative to where the walk starts.
    pub exclude: Option<&'a IgnoreMatcher>,
    /// If given, only what matches and the directories on the way to it, by paths relative to
    /// where the walk starts.
    pub include: Option<&'a IgnoreMatcher>,
}

/// A part of a context.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Where the walk started: a directory, or the only entry.
    pub start: Entry,
    /// True when the ignore rules leave the start itself out, but something below it is kept.
    pub start_ignored: bool,
    /// What is below it, a directory before its children, names in the order of their bytes.
    pub entries: Vec<Entry>,
}

impl Context {
    /// Opens the context at `root`. `cache` is the file of its stat cache, which need not exist.
    ///
    /// # Errors
    /// When the root is not a directory that can be opened.
    pub fn open_root(root: &Path, matcher: IgnoreMatcher, cache: Option<&Path>) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        Ok(Self {
            root: RootDir::open(root)?,
            matcher,
            cache: RwLock::new(cache.map_or_else(StatCache::empty, StatCache::load)),
            cache_path: cache.map(Path::to_path_buf),
            trust: Trust::default(),
            threads: threads.min(MAX_THREADS),
        })
    }

    /// The root directory.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// The ignore rules.
    pub fn matcher(&self) -> &IgnoreMatcher {
        &self.matcher
    }

    /// Lists `path`, which must have no link in it (see [`Self::resolve`]), and everything below
    /// it that is not left out. Contents that the stat cache knows are filled in; for the others
    /// see [`Self::hash`]. Sockets are skipped.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ignored`] where the rules leave out all of it,
    /// [`Error::Interrupted`] when `cancel` was set.
    pub fn walk(&self, path: &[u8], options: WalkOptions<'_>, cancel: &AtomicBool) -> Result<Walk> {
        let start = self.entry(path)?;
        let (ignored, state) = self.matcher.state_of(&start.path);
        let ignored_error = || Error::Ignored {
            path: shown(&start.path),
        };
        if start.metadata.kind != Kind::Directory {
            return if ignored {
                Err(ignored_error())
            } else {
                Ok(Walk {
                    start,
                    start_ignored: false,
                    entries: Vec::new(),
                })
            };
        }
        if ignored && !self.matcher.could_put_back_below(&start.path) {
            return Err(ignored_error());
        }
        let cache = self.known_rows();
        let walker = Walker {
            root: &self.root,
            ignore: &self.matcher,
            exclude: options.exclude,
            include: options.include,
            start_length: match start.path.len() {
                0 => 0,
                length => length + 1,
            },
            cache: &cache,
            trust: &self.trust,
            cancel,
        };
        let state = FilterState {
            ignore: state,
            ..FilterState::default()
        };
        let entries = walker.walk(&start, state, ignored, self.threads)?;
        if ignored && entries.is_empty() {
            return Err(ignored_error());
        }
        Ok(Walk {
            start,
            start_ignored: ignored,
            entries,
        })
    }

    /// One path, which must have no link in it before its last component. The ignore rules are
    /// not asked.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn entry(&self, path: &[u8]) -> Result<Entry> {
        let path = trim(path);
        let missing = |error: fastlayer_fs::Error| match error.errno() {
            Some(Errno::NOENT | Errno::NOTDIR) => Error::NotFound { path: shown(path) },
            _ => error.into(),
        };
        let (parent, name) = split_path(path);
        let directory = self
            .root
            .directory()
            .open_descendant(parent)
            .map_err(missing)?;
        if name.is_empty() {
            let xattrs = xattr::all(&directory).map_err(|errno| {
                fastlayer_fs::Error::new("read attributes of", directory.path(), errno)
            })?;
            return Ok(Entry {
                path: Vec::new(),
                metadata: directory.metadata()?,
                link: Vec::new(),
                xattrs,
                content: None,
                is_cached: false,
            });
        }
        let metadata = directory.stat_child(name).map_err(missing)?;
        let link = match metadata.kind {
            Kind::Symlink => directory.read_link(name)?,
            _ => Vec::new(),
        };
        let (is_cached, content) = self.known(&directory, name, &metadata)?;
        Ok(Entry {
            path: path.to_vec(),
            metadata,
            link,
            xattrs: portable_xattrs(&directory, name)?,
            content,
            is_cached,
        })
    }

    /// Reads the files of `entries` whose content is not known and fills it in, with what their
    /// metadata was at that time. What is found is learned for the stat cache.
    ///
    /// # Errors
    /// [`Error::Changed`] for a file that somebody writes to all the time.
    pub fn hash(&self, entries: &mut [Entry], cancel: &AtomicBool) -> Result<()> {
        let wanted: Vec<usize> = (0..entries.len())
            .filter(|&index| entries[index].lacks_content())
            .collect();
        let read = hash_files(&self.root, entries, &wanted, self.threads, cancel)?;
        for (index, metadata, content) in read {
            let entry = &mut entries[index];
            (entry.metadata, entry.content) = (metadata, Some(content));
        }
        self.learn_entries(entries);
        Ok(())
    }

    /// Tells the stat cache of entries. What a file contains must have been found while its
    /// metadata was what the entry says; files of unknown content are passed over.
    pub fn learn_entries(&self, entries: &[Entry]) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if entry.is_cached || entry.lacks_content() {
                continue;
            }
            let known = Known {
                content: entry.content,
                has_xattrs: !entry.xattrs.is_empty(),
            };
            cache.learn(&entry.metadata, known);
        }
    }

    /// Tells the stat cache what a file contains. For callers that read files themselves: its
    /// metadata must have been the same before and after.
    pub fn learn(&self, metadata: &Metadata, content: ContentHash, has_xattrs: bool) {
        let known = Known {
            content: Some(content),
            has_xattrs,
        };
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.learn(metadata, known);
    }

    /// Writes what was learned to the stat cache's file, if there is one and there is news.
    ///
    /// # Errors
    /// Those of writing the file.
    pub fn save(&self) -> Result<()> {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        match &self.cache_path {
            Some(path) if cache.is_dirty() => Ok(cache.save(path)?),
            _ => Ok(()),
        }
    }

    /// Opens the regular file at `path`, following links inside the context only. The ignore
    /// rules are not asked: a Dockerfile may be left out and is read all the same.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::LinkOutside`], [`Error::NotAFile`].
    pub fn open(&self, path: &[u8]) -> Result<File> {
        let file = self
            .root
            .open_file(path)
            .map_err(|error| self.explain(path, error))?;
        let kind = Metadata::of(&file)
            .map_err(|errno| fastlayer_fs::Error::new("stat", shown(path), errno))?
            .kind;
        if kind != Kind::File {
            return Err(Error::NotAFile { path: shown(path) });
        }
        Ok(file)
    }

    /// The content of the file at `path`; see [`Self::open`].
    ///
    /// # Errors
    /// Those of [`Self::open`] and of reading.
    pub fn read(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(path)?
            .read_to_end(&mut content)
            .map_err(|source| fastlayer_fs::Error::new("read", shown(path), source))?;
        Ok(content)
    }

    /// The path of the same file without links in it; they are followed inside the context. With
    /// `follow` false, a link as the last component stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::LinkOutside`].
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Vec<u8>> {
        self.root
            .real_path(path, follow)
            .map_err(|error| self.explain(path, error))
    }

    /// The paths that a Go wildcard matches, without those left out, sorted; links before the
    /// first wildcard are followed, so the paths have none but as their last component.
    ///
    /// # Errors
    /// [`Error::Pattern`].
    pub fn glob(&self, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
        glob::expand(self, pattern)
    }

    /// Names in a directory, and whether each is a directory. None where `path` is not one.
    pub(crate) fn names(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, bool)>> {
        let directory = match self.root.directory().open_descendant(path) {
            Err(error) if matches!(error.errno(), Some(Errno::NOTDIR | Errno::LOOP)) => {
                return Ok(Vec::new());
            }
            result => result?,
        };
        let mut names = Vec::new();
        for entry in directory.entries()?.iter() {
            let kind = match entry.kind {
                Some(kind) => kind,
                None => directory.stat_child(entry.name)?.kind,
            };
            names.push((entry.name.to_vec(), kind == Kind::Directory));
        }
        Ok(names)
    }

    /// Whether there is nothing to learn of a name, and its content, if that is known.
    fn known(
        &self,
        directory: &Directory,
        name: &[u8],
        metadata: &Metadata,
    ) -> Result<(bool, Option<ContentHash>)> {
        let look = || {
            let node = directory.open_path(name);
            FileSystem::of(node.map_err(|error| error.into_parts().2)?)
        };
        if metadata.kind != Kind::File || !self.trust.of(metadata.dev, look) {
            return Ok((true, None));
        }
        let known = self.known_rows().lookup(metadata);
        Ok((known.is_some(), known.and_then(|known| known.content)))
    }

    fn known_rows(&self) -> RwLockReadGuard<'_, StatCache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says of a missing path whether it is a link that leads out.
    fn explain(&self, path: &[u8], error: fastlayer_fs::Error) -> Error {
        if !matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) {
            return error.into();
        }
        let link = self
            .root
            .open_parent(path)
            .and_then(|(directory, name)| directory.read_link(name));
        match link {
            Ok(target) => Error::LinkOutside {
                path: shown(path),
                target: shown(&target),
            },
            Err(_) => Error::NotFound { path: shown(path) },
        }
    }
}

/// Without slashes at either end; `.` is the root.
fn trim(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&byte| byte != b'/');
    let end = path.iter().rposition(|&byte| byte != b'/');
    match (start, end) {
        (Some(start), Some(end)) if &path[start..=end] != b"." => &path[start..=end],
        _ => b"",
    }
}
