//! A build context as the source of a COPY. What its ignore rules leave out does not exist here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastlayer_context::{Context, Entry, WalkOptions};
use fastlayer_fs::Kind as FileKind;
use fastlayer_tar::Timestamp;

use super::Purpose;
use super::item::{Body, Item};
use super::select::SourceTree;
use crate::digest::ContentId;
use crate::error::{Error, Result};
use crate::index::Kind;
use crate::tree::join;

pub(super) struct ContextSource<'a> {
    context: &'a Arc<Context>,
    purpose: Purpose,
    cancel: &'a AtomicBool,
}

impl<'a> ContextSource<'a> {
    pub(super) fn new(context: &'a Arc<Context>, purpose: Purpose, cancel: &'a AtomicBool) -> Self {
        Self {
            context,
            purpose,
            cancel,
        }
    }

    /// The item of an entry at `relative` below `top`.
    fn item(&self, entry: Entry, top: &Arc<[u8]>, relative: Vec<u8>) -> Option<Item> {
        let metadata = entry.metadata;
        let kind = match metadata.kind {
            FileKind::File => Kind::File,
            FileKind::Directory => Kind::Directory,
            FileKind::Symlink => Kind::Symlink,
            FileKind::CharDevice => Kind::CharDevice,
            FileKind::BlockDevice => Kind::BlockDevice,
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => return None,
        };
        let mut item = Item::new(kind, metadata.mode);
        item.relative = relative;
        item.mtime = Timestamp::from_seconds(metadata.mtime.seconds);
        item.device = metadata.rdev;
        item.link = entry.link;
        item.xattrs = entry.xattrs;
        if kind != Kind::Directory && metadata.nlink > 1 {
            item.inode = Some((metadata.dev, metadata.ino));
        }
        if kind == Kind::File {
            item.size = metadata.size;
            item.content = entry.content.map(|hash| ContentId::from_bytes(hash.0));
            let context = Arc::clone(self.context);
            item.body = Body::Context {
                context,
                top: Arc::clone(top),
                metadata,
            };
        }
        Some(item)
    }

    fn look_into(&self, entries: &mut [Entry]) -> Result<()> {
        match self.purpose {
            Purpose::Key => self.context.hash(entries, self.cancel)?,
            Purpose::Copy => self.context.learn_entries(entries),
        }
        Ok(())
    }
}

impl SourceTree for ContextSource<'_> {
    fn find(&self, path: &[u8], follow: bool) -> Result<Option<(Vec<u8>, Item)>> {
        let real_path = match self.context.resolve(path, follow) {
            Err(fastlayer_context::Error::NotFound { .. }) => return Ok(None),
            resolved => resolved?,
        };
        let mut entries = [self.context.entry(&real_path)?];
        let is_directory = entries[0].metadata.kind == FileKind::Directory;
        let matcher = self.context.matcher();
        if matcher.is_ignored(&real_path)
            && !(is_directory && matcher.could_put_back_below(&real_path))
        {
            return Err(Error::source(
                path,
                "left out of the build context by the ignore file",
            ));
        }
        self.look_into(&mut entries)?;
        let [entry] = entries;
        let top = Arc::from(real_path.as_slice());
        let item = self.item(entry, &top, Vec::new());
        Ok(item.map(|item| (real_path, item)))
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.subtree(path, &mut items)?;
        items.retain(|item| !item.relative.contains(&b'/'));
        Ok(items)
    }

    fn glob(&self, word: &[u8]) -> Result<Option<Vec<Vec<u8>>>> {
        let pattern = super::pattern::Pattern::parse(word, false);
        Ok(Some(self.context.glob(&pattern.components.join(&b'/'))?))
    }

    fn subtree(&self, path: &[u8], items: &mut Vec<Item>) -> Result<()> {
        let mut walk = self
            .context
            .walk(path, WalkOptions::default(), self.cancel)?;
        self.look_into(&mut walk.entries)?;
        let skip = if path.is_empty() {
            0
        } else {
            join(path, b"").len()
        };
        let top = Arc::from(path);
        items.reserve(walk.entries.len());
        for mut entry in walk.entries {
            let mut relative = std::mem::take(&mut entry.path);
            relative.drain(..skip);
            items.extend(self.item(entry, &top, relative));
        }
        Ok(())
    }
}

impl From<fastlayer_context::Error> for Error {
    fn from(error: fastlayer_context::Error) -> Self {
        use fastlayer_context::Error as Context;
        let named = |path: &std::path::Path, detail: &str| Self::Source {
            path: path.display().to_string(),
            detail: detail.to_owned(),
        };
        match &error {
            Context::Interrupted => Self::Interrupted,
            Context::NotFound { path } => named(path, "not found in the build context"),
            Context::Ignored { path } => {
                named(path, "left out of the build context by the ignore file")
            }
            Context::LinkOutside { path, target } => {
                let detail = format!(
                    "is a link to {}, which is not in the build context",
                    target.display()
                );
                named(path, &detail)
            }
            Context::NotAFile { path } => named(path, "is not a regular file"),
            Context::Changed { path } => named(path, "changed while it was read"),
            Context::Pattern { pattern, reason } => {
                Self::format(format!("pattern {pattern:?}"), reason)
            }
            _ => match error {
                Context::FileSystem(error) if is_forbidden(&error) => {
                    let (operation, path, _) = error.into_parts();
                    named(&path, &format!("cannot {operation}: permission denied"))
                }
                Context::FileSystem(error) => error.into(),
                other => Self::format("build context", other),
            },
        }
    }
}

/// The user may not read it: that is about the context, not about the store.
fn is_forbidden(error: &fastlayer_fs::Error) -> bool {
    use rustix::io::Errno;
    matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM))
}
