//! What the words of a COPY or ADD stand for.
//!
//! A word without wildcards must exist; its path is followed through links. A wildcard may match
//! nothing; it matches names as they are, and what it matched is followed. Nothing here knows the
//! destination.

use fastlayer_context::IgnoreMatcher;

use super::item::{Item, Match};
use super::pattern::{Pattern, component_matches};
use crate::error::{Error, Result, display_path};
use crate::tree::join;

/// A tree to copy from.
pub(super) trait SourceTree {
    /// The item at `path` and its path without links; the last component is followed on demand.
    fn find(&self, path: &[u8], follow: bool) -> Result<Option<(Vec<u8>, Item)>>;
    /// The direct children of the directory at `path`, `relative` being their names; sorted.
    fn list(&self, path: &[u8]) -> Result<Vec<Item>>;
    /// The sorted paths that a word with wildcards matches, where the tree can tell by itself.
    fn glob(&self, _word: &[u8]) -> Result<Option<Vec<Vec<u8>>>> {
        Ok(None)
    }
    /// Adds all below the directory at `path`, relative to it, each directory before its children.
    fn subtree(&self, path: &[u8], items: &mut Vec<Item>) -> Result<()>;
}

/// Selects from one source.
pub(super) struct Selector<'a> {
    pub(super) tree: &'a dyn SourceTree,
    /// What messages call the tree: "the build context".
    pub(super) tree_name: &'a str,
    pub(super) source: usize,
    pub(super) parents: bool,
    pub(super) exclude: Option<&'a IgnoreMatcher>,
}

impl Selector<'_> {
    /// All matches of a source word, sorted by path.
    pub(super) fn select(&self, word: &[u8]) -> Result<Vec<Match>> {
        let pattern = Pattern::parse(word, self.parents);
        if !pattern.has_wildcard() {
            let path = pattern.literal_path(pattern.components.len());
            let selected = self.select_path(&path, pattern.pivot)?;
            return selected
                .map(|found| vec![found])
                .ok_or_else(|| Error::source(word, format!("not found in {}", self.tree_name)));
        }
        let mut matches = Vec::new();
        for path in self.expand(word, &pattern)? {
            match self.select_path(&path, pattern.pivot)? {
                Some(found) => matches.push(found),
                None => {
                    let detail = "is a symbolic link to something that is missing";
                    return Err(Error::source(&path, detail));
                }
            }
        }
        matches.retain(|found| !found.items.is_empty());
        Ok(matches)
    }

    /// The paths that a pattern with wildcards matches.
    fn expand(&self, word: &[u8], pattern: &Pattern) -> Result<Vec<Vec<u8>>> {
        if !self.parents
            && let Some(paths) = self.tree.glob(word)?
        {
            return Ok(paths);
        }
        let prefix = pattern.literal_path(pattern.literal_prefix());
        let Some((base, item)) = self.tree.find(&prefix, !self.parents)? else {
            return Ok(Vec::new());
        };
        if !item.is_directory() {
            return Ok(Vec::new());
        }
        let mut paths = Vec::new();
        self.expand_below(
            &base,
            &pattern.components[pattern.literal_prefix()..],
            &mut paths,
        )?;
        paths.sort_by(|left, right| fastlayer_tar::path::compare(left, right));
        paths.dedup();
        Ok(paths)
    }

    /// The depth of the recursion is that of the tree, which is limited.
    fn expand_below(
        &self,
        directory: &[u8],
        pattern: &[Vec<u8>],
        paths: &mut Vec<Vec<u8>>,
    ) -> Result<()> {
        let Some((component, rest)) = pattern.split_first() else {
            return Ok(());
        };
        let deep = self.parents && component == b"**";
        if deep && !rest.is_empty() {
            self.expand_below(directory, rest, paths)?;
        }
        for child in self.tree.list(directory)? {
            if !deep && !component_matches(component, &child.relative)? {
                continue;
            }
            let path = join(directory, &child.relative);
            if child.is_directory() && (deep || !rest.is_empty()) {
                self.expand_below(&path, if deep { pattern } else { rest }, paths)?;
            }
            if rest.is_empty() {
                paths.push(path);
            }
        }
        Ok(())
    }

    fn select_path(&self, path: &[u8], pivot: usize) -> Result<Option<Match>> {
        let Some((real_path, item)) = self.tree.find(path, !self.parents)? else {
            return Ok(None);
        };
        let name = fastlayer_tar::path::split(path).map_or(&b""[..], |(_, name)| name);
        let is_directory = item.is_directory();
        let mut items = vec![item];
        if is_directory {
            self.tree.subtree(&real_path, &mut items)?;
        }
        let parents = self.parent_items(path, pivot)?;
        let mut found = Match {
            name: name.to_vec(),
            source: self.source,
            parents,
            items,
            replaces: false,
        };
        if let Some(matcher) = self.exclude {
            self.drop_excluded(&mut found, matcher, is_directory);
        }
        Ok(Some(found))
    }

    /// Of `--parents`: the directories on the way to `path` and, last, `path` itself as the item
    /// that says where the match goes.
    fn parent_items(&self, path: &[u8], pivot: usize) -> Result<Vec<Item>> {
        if !self.parents {
            return Ok(Vec::new());
        }
        let names: Vec<&[u8]> = crate::tree::components(path).collect();
        let mut items = Vec::new();
        for length in pivot + 1..=names.len() {
            let Some((_, mut item)) = self
                .tree
                .find(&names[..length].join(&b'/'), length < names.len())?
            else {
                return Err(Error::source(path, "vanished while it was looked at"));
            };
            item.relative = names[pivot..length].join(&b'/');
            items.push(item);
        }
        Ok(items)
    }

    fn drop_excluded(&self, found: &mut Match, matcher: &IgnoreMatcher, is_directory: bool) {
        let prefix = match found.parents.last() {
            Some(last) => last.relative.clone(),
            None if is_directory => Vec::new(),
            None => found.name.clone(),
        };
        let mut kept = Vec::with_capacity(found.items.len());
        for item in found.items.drain(..) {
            let path = if item.relative.is_empty() {
                prefix.clone()
            } else {
                join(&prefix, &item.relative)
            };
            // The top of a copied directory is where its contents go, not something copied.
            let is_top = item.relative.is_empty() && is_directory;
            if is_top || !matcher.is_ignored(&path) {
                kept.push(item);
            }
        }
        found.items = kept;
    }
}

/// A path for messages: the root is `.`.
pub(super) fn shown(path: &[u8]) -> String {
    if path.is_empty() {
        ".".to_owned()
    } else {
        display_path(path)
    }
}
