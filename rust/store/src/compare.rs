//! What differs between two merged trees, path by path.

use std::collections::HashMap;

use crate::error::Result;
use crate::index::Kind;
use crate::tree::{Node, TreeView};

/// Whether a path came, changed or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is only in the second tree.
    Added,
    /// It is in both and differs.
    Changed,
    /// It is only in the first tree.
    Deleted,
}

/// Why a path counts as changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Another type of file.
    Type,
    /// Another content, or another device number.
    Content,
    /// Another link target, or another set of hard links.
    Link,
    /// Other permission bits.
    Mode,
    /// Another user or group.
    Owner,
    /// Other extended attributes.
    Xattr,
    /// Another time of modification.
    Time,
}

impl Reason {
    /// The reason as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Link => "link",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Xattr => "xattr",
            Self::Time => "time",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened to the path.
    pub kind: ChangeKind,
    /// The path.
    pub path: Vec<u8>,
    /// Of a changed path: what differs. Empty for a directory that only has changed children.
    pub reasons: Vec<Reason>,
}

/// All differences in the order of paths. A deleted directory stands for all it held; every path
/// of an added one is listed.
///
/// # Errors
/// When an index is damaged.
pub fn compare(before: &TreeView, after: &TreeView) -> Result<Vec<Change>> {
    let mut comparison = Comparison {
        before,
        after,
        links_before: HashMap::new(),
        links_after: HashMap::new(),
        changes: Vec::new(),
    };
    comparison.node(before.root()?, after.root()?)?;
    Ok(comparison.changes)
}

type Links = HashMap<(usize, u32), Vec<u8>>;

struct Comparison<'a> {
    before: &'a TreeView,
    after: &'a TreeView,
    links_before: Links,
    links_after: Links,
    changes: Vec<Change>,
}

impl<'a> Comparison<'a> {
    /// Compares what the two trees have at one path.
    fn node(&mut self, before: Option<Node<'a>>, after: Option<Node<'a>>) -> Result<()> {
        match (before, after) {
            (None, None) => Ok(()),
            (Some(before), None) => {
                self.change(ChangeKind::Deleted, before.path(), Vec::new());
                Ok(())
            }
            (None, Some(after)) => {
                if !after.path().is_empty() {
                    self.change(ChangeKind::Added, after.path(), Vec::new());
                }
                first_path(&mut self.links_after, &after);
                self.children(None, Some(&after))
            }
            (Some(before), Some(after)) => self.both(&before, &after),
        }
    }

    fn both(&mut self, before: &Node<'a>, after: &Node<'a>) -> Result<()> {
        let mut reasons = metadata_reasons(before, after)?;
        if before.kind() == after.kind() && before.kind() != Kind::Directory {
            let was = first_path(&mut self.links_before, before);
            if was != first_path(&mut self.links_after, after) && !reasons.contains(&Reason::Link) {
                reasons.push(Reason::Link);
                reasons.sort();
            }
        }
        if !reasons.is_empty() {
            self.change(ChangeKind::Changed, after.path(), reasons);
        }
        self.children(Some(before), Some(after))
    }

    fn children(&mut self, before: Option<&Node<'a>>, after: Option<&Node<'a>>) -> Result<()> {
        let list = |view: &'a TreeView, node: Option<&Node<'a>>| match node {
            Some(node) if node.kind() == Kind::Directory => view.children(node),
            _ => Ok(Vec::new()),
        };
        let mut left = list(self.before, before)?.into_iter().peekable();
        // What a directory held is gone with it when it is no directory any more.
        let mut right = list(self.after, after)?.into_iter().peekable();
        if after.is_some_and(|node| node.kind() != Kind::Directory) {
            return Ok(());
        }
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => a.name().cmp(b.name()),
            };
            let old = if order.is_le() { left.next() } else { None };
            let new = if order.is_ge() { right.next() } else { None };
            self.node(old, new)?;
        }
    }

    fn change(&mut self, kind: ChangeKind, path: &[u8], reasons: Vec<Reason>) {
        self.changes.push(Change {
            kind,
            path: path.to_vec(),
            reasons,
        });
    }
}

fn first_path(links: &mut Links, node: &Node<'_>) -> Vec<u8> {
    links
        .entry(node.inode())
        .or_insert_with(|| node.path().to_vec())
        .clone()
}

/// How type, content and attributes of two nodes differ, in the order of [`Reason`].
pub(crate) fn metadata_reasons(before: &Node<'_>, after: &Node<'_>) -> Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    let mut note = |differs: bool, reason| {
        if differs {
            reasons.push(reason);
        }
    };
    let kind = after.kind();
    note(before.kind() != kind, Reason::Type);
    if before.kind() == kind {
        note(
            before.content() != after.content() || before.device() != after.device(),
            Reason::Content,
        );
        note(
            kind == Kind::Symlink && before.link_target()? != after.link_target()?,
            Reason::Link,
        );
        note(
            kind != Kind::Symlink && before.mode() != after.mode(),
            Reason::Mode,
        );
    }
    note(
        (before.uid(), before.gid()) != (after.uid(), after.gid()),
        Reason::Owner,
    );
    let xattrs = before.has_xattrs() || after.has_xattrs();
    note(xattrs && before.xattrs()? != after.xattrs()?, Reason::Xattr);
    note(before.mtime() != after.mtime(), Reason::Time);
    Ok(reasons)
}
