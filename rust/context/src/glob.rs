//! Expanding a wildcard over the names of a context.
//!
//! Components before the first wildcard are followed like any path; from there on only real
//! directories are entered, so a link is found but never looked through.

use crate::context::Context;
use crate::entry::join_path;
use crate::error::{Error, Result};
use crate::wildcard::{Wildcard, is_wildcard};

/// The paths that match `pattern` and are not left out, sorted by components.
pub(crate) fn expand(context: &Context, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    let components: Vec<&[u8]> = pattern
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    let first = components
        .iter()
        .position(|name| is_wildcard(name))
        .unwrap_or(components.len());
    let start = components[..first].join(&b'/');
    let mut found = match context.resolve(&start, true) {
        Ok(real) => vec![real],
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    for (number, name) in components.iter().enumerate().skip(first) {
        let wildcard = Wildcard::new(name)?;
        let is_last = number + 1 == components.len();
        let mut next = Vec::new();
        for directory in &found {
            for (name, is_directory) in context.names(directory)? {
                let path = join_path(directory, &name);
                let wanted = if is_last {
                    !context.matcher().is_ignored(&path)
                        || (is_directory && context.matcher().could_put_back_below(&path))
                } else {
                    is_directory
                };
                if wanted && wildcard.matches(&name) {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    Ok(found)
}
