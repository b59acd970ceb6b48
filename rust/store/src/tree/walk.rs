//! All paths of a merged tree in order, hardlink groups told apart.

use std::collections::HashMap;

use super::{Node, TreeView};
use crate::error::Result;
use crate::index::Kind;

/// A path on a walk.
#[derive(Clone, Debug)]
pub struct Visit<'view> {
    /// The path.
    pub node: Node<'view>,
    /// The path of the same file that came first on this walk; `None` for that first path.
    pub hardlink: Option<Vec<u8>>,
}

/// An iterator over a merged tree: a directory comes before its children, children are sorted by
/// the bytes of their names.
pub struct Walk<'view> {
    view: &'view TreeView,
    stack: Vec<std::vec::IntoIter<Node<'view>>>,
    first: Option<Node<'view>>,
    /// First path of each file that has several in its layer.
    first_paths: HashMap<(usize, u32), Vec<u8>>,
}

impl TreeView {
    /// Walks the whole tree, the root first.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn walk(&self) -> Result<Walk<'_>> {
        Ok(Walk {
            view: self,
            stack: Vec::new(),
            first: self.root()?,
            first_paths: HashMap::new(),
        })
    }

    /// Walks what is below `node`, `node` itself first.
    #[must_use]
    pub fn walk_from<'view>(&'view self, node: Node<'view>) -> Walk<'view> {
        Walk {
            view: self,
            stack: Vec::new(),
            first: Some(node),
            first_paths: HashMap::new(),
        }
    }
}

impl<'view> Walk<'view> {
    fn visit(&mut self, node: Node<'view>) -> Result<Visit<'view>> {
        let mut hardlink = None;
        if node.kind() == Kind::Directory {
            self.stack.push(self.view.children(&node)?.into_iter());
        } else {
            match self.first_paths.get(&node.inode()) {
                Some(first) => hardlink = Some(first.clone()),
                None => {
                    self.first_paths.insert(node.inode(), node.path().to_vec());
                }
            }
        }
        Ok(Visit { node, hardlink })
    }

    /// Leaves out what is below the directory that was given last.
    pub fn skip_children(&mut self) {
        self.stack.pop();
    }
}

impl<'view> Iterator for Walk<'view> {
    type Item = Result<Visit<'view>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(root) = self.first.take() {
            return Some(self.visit(root));
        }
        loop {
            match self.stack.last_mut()?.next() {
                Some(node) => return Some(self.visit(node)),
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}
