//! The tree id: one hash for all that a process can see of a merged tree, but for times.
//!
//! It is a Merkle hash: a directory's hash covers, for each child in order, the name, type, mode,
//! owner, device, link target, extended attributes, and the content id or the child directory's
//! hash; of a hard link, the path of its group's first name. How the tree is cut into layers and
//! when a file was modified does not count, so a step that gives the same tree again has the same
//! id, and what follows it stays cached.

use std::collections::HashMap;

use crate::digest::{TREE_CONTEXT, TreeId};
use crate::error::{Error, Result, display_path};
use crate::index::Kind;
use crate::tree::{Node, TreeView};

/// The id of the whole tree; that of an empty chain is that of an empty root directory.
///
/// # Errors
/// When an index is damaged or lacks a file's content id.
pub fn tree_id(view: &TreeView) -> Result<TreeId> {
    let mut hasher = TreeHasher {
        view,
        first_paths: HashMap::new(),
    };
    let mut total = blake3::Hasher::new_derive_key(TREE_CONTEXT);
    match view.root()? {
        Some(root) => hasher.describe(&root, &mut total)?,
        None => describe_empty_root(&mut total),
    }
    Ok(TreeId::from_bytes(*total.finalize().as_bytes()))
}

struct TreeHasher<'view> {
    view: &'view TreeView,
    first_paths: HashMap<(usize, u32), Vec<u8>>,
}

impl<'view> TreeHasher<'view> {
    /// Hashes all of a node but its name. The depth of a path is limited, so this may recurse.
    fn describe(&mut self, node: &Node<'view>, into: &mut blake3::Hasher) -> Result<()> {
        if node.kind() != Kind::Directory {
            if let Some(first) = self.first_paths.get(&node.inode()) {
                into.update(b"l");
                update_framed(into, first);
                return Ok(());
            }
            self.first_paths.insert(node.inode(), node.path().to_vec());
        }
        describe_attributes(node, into)?;
        match node.kind() {
            Kind::Directory => {
                let mut inner = blake3::Hasher::new_derive_key(TREE_CONTEXT);
                for child in self.view.children(node)? {
                    update_framed(&mut inner, child.name());
                    self.describe(&child, &mut inner)?;
                }
                into.update(inner.finalize().as_bytes());
            }
            Kind::File => {
                let content = node.content().ok_or_else(|| {
                    Error::corrupt(
                        "a tree index",
                        format!("no content id of {}", display_path(node.path())),
                    )
                })?;
                into.update(content.as_bytes());
            }
            Kind::Symlink => update_framed(into, node.link_target()?),
            Kind::CharDevice | Kind::BlockDevice => {
                let (major, minor) = node.device();
                into.update(&major.to_le_bytes());
                into.update(&minor.to_le_bytes());
            }
            Kind::Fifo | Kind::Whiteout | Kind::LowerLink => {}
        }
        Ok(())
    }
}

/// A root directory that nobody has made has the attributes of any such directory.
fn describe_empty_root(into: &mut blake3::Hasher) {
    describe_owner(b'd', 0o755, (0, 0), into);
    into.update(&0_u32.to_le_bytes());
    let inner = blake3::Hasher::new_derive_key(TREE_CONTEXT);
    into.update(inner.finalize().as_bytes());
}

fn describe_owner(letter: u8, mode: u32, owner: (u32, u32), into: &mut blake3::Hasher) {
    let mut fixed = [0; 13];
    fixed[0] = letter;
    fixed[1..5].copy_from_slice(&mode.to_le_bytes());
    fixed[5..9].copy_from_slice(&owner.0.to_le_bytes());
    fixed[9..13].copy_from_slice(&owner.1.to_le_bytes());
    into.update(&fixed);
}

fn describe_attributes(node: &Node<'_>, into: &mut blake3::Hasher) -> Result<()> {
    let letter = match node.kind() {
        Kind::File => b'f',
        Kind::Directory => b'd',
        Kind::Symlink => b's',
        Kind::CharDevice => b'c',
        Kind::BlockDevice => b'b',
        Kind::Fifo => b'p',
        Kind::Whiteout | Kind::LowerLink => b'?',
    };
    // The mode of a symbolic link means nothing and differs between tar writers.
    let mode = if node.kind() == Kind::Symlink {
        0
    } else {
        node.mode()
    };
    describe_owner(letter, mode, (node.uid(), node.gid()), into);
    let xattrs = if node.has_xattrs() {
        node.xattrs()?
    } else {
        Default::default()
    };
    into.update(&(xattrs.len() as u32).to_le_bytes());
    for (name, value) in &xattrs {
        update_framed(into, name);
        update_framed(into, value);
    }
    Ok(())
}

fn update_framed(into: &mut blake3::Hasher, bytes: &[u8]) {
    into.update(&(bytes.len() as u64).to_le_bytes());
    into.update(bytes);
}
