//! Following symbolic links inside a merged tree, as a process rooted in it would.

use std::collections::VecDeque;

use super::{Node, TreeView, components, join};
use crate::error::{Error, Result};
use crate::index::{Kind, MAX_LINKS};

/// Where a path leads once its links are followed.
#[derive(Clone, Debug)]
pub struct Resolved<'view> {
    /// The path without links, `.` and `..`; of a node that is missing, the path it would have.
    pub path: Vec<u8>,
    /// What is there.
    pub node: Option<Node<'view>>,
}

impl TreeView {
    /// Resolves `path` from the root: `..` stops there, absolute links begin there. The last
    /// component is followed if it is a link and `follow` is set. Components below one that is
    /// missing, or below something that is no directory, are taken as they are.
    ///
    /// # Errors
    /// [`Error::UnsafePath`] after 40 links; a damaged index.
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Resolved<'_>> {
        self.resolve_past(path, follow, &|_, _| false)
    }

    /// As [`Self::resolve`], where nothing is at the paths that `hidden` names of those that it is
    /// asked for, with what is there.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub(super) fn resolve_past(
        &self,
        path: &[u8],
        follow: bool,
        hidden: &dyn Fn(&[u8], Kind) -> bool,
    ) -> Result<Resolved<'_>> {
        let mut trail = vec![Step {
            path: Vec::new(),
            node: self.root()?,
        }];
        let mut pending: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            let Some(here) = trail.last() else { break };
            let node = match &here.node {
                Some(parent) => self.child(parent, &name)?,
                None => None,
            };
            let path_here = join(&here.path, &name);
            let node = node.filter(|node| !hidden(&path_here, node.kind()));
            let link = node.as_ref().filter(|node| node.kind() == Kind::Symlink);
            if let Some(link) = link
                && (follow || !pending.is_empty())
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::unsafe_path(
                        path,
                        "too many levels of symbolic links",
                    ));
                }
                let target = link.link_target()?;
                if target.starts_with(b"/") {
                    trail.truncate(1);
                }
                for component in components(target).rev() {
                    pending.push_front(component.to_vec());
                }
                continue;
            }
            trail.push(Step {
                path: path_here,
                node,
            });
        }
        let last = trail.pop().unwrap_or(Step {
            path: Vec::new(),
            node: None,
        });
        Ok(Resolved {
            path: last.path,
            node: last.node,
        })
    }
}

struct Step<'view> {
    path: Vec<u8>,
    node: Option<Node<'view>>,
}
