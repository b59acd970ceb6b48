//! The names by which a layer says that something below it is gone.
//!
//! A file `.wh.NAME` removes `NAME` of the layers below; `.wh..wh..opq` in a directory hides all
//! that the layers below have in it. Other names with `.wh..wh.` are what the aufs driver kept
//! for itself and mean nothing. Therefore a file whose own name begins with `.wh.` cannot be in a
//! layer.

use crate::error::WhiteoutError;

/// What a whiteout's name begins with.
pub const PREFIX: &[u8] = b".wh.";

/// The file that makes its directory opaque.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// What the names of aufs begin with (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`).
const METADATA_PREFIX: &[u8] = b".wh..wh.";

/// What a name means in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker<'a> {
    /// Nothing: the entry is what it seems.
    None,
    /// The directory that holds the entry is opaque.
    Opaque,
    /// The file of this name, beside the entry, is removed.
    Whiteout(&'a [u8]),
    /// The entry is driver metadata, and so is what is below it: skip it.
    Metadata,
}

/// What a file name (one component) means.
///
/// # Errors
/// `.wh.`, `.wh..` and `.wh...`, which would remove the directory itself or its parent.
pub fn classify(file_name: &[u8]) -> Result<Marker<'_>, WhiteoutError> {
    let Some(name) = file_name.strip_prefix(PREFIX) else {
        return Ok(Marker::None);
    };
    let refuse = |reason| WhiteoutError {
        name: file_name.to_vec(),
        reason,
    };
    match name {
        b"" => Err(refuse("it names nothing")),
        b"." => Err(refuse("it names the directory itself")),
        b".." => Err(refuse("it names the parent directory")),
        _ if file_name == OPAQUE => Ok(Marker::Opaque),
        _ if file_name.starts_with(METADATA_PREFIX) => Ok(Marker::Metadata),
        _ => Ok(Marker::Whiteout(name)),
    }
}

/// What a normal path (see [`crate::path::normalise`]) means: its last component decides, unless
/// a directory on the way is driver metadata.
///
/// # Errors
/// As [`classify`], and a path that goes through a whiteout, which is no directory.
pub fn classify_path(path: &[u8]) -> Result<Marker<'_>, WhiteoutError> {
    let Some((parents, file_name)) = crate::path::split(path) else {
        return Ok(Marker::None);
    };
    for component in parents.split(|&byte| byte == b'/') {
        match classify(component)? {
            Marker::None => {}
            Marker::Metadata => return Ok(Marker::Metadata),
            Marker::Opaque | Marker::Whiteout(_) => {
                return Err(WhiteoutError {
                    name: path.to_vec(),
                    reason: "it lies below a whiteout",
                });
            }
        }
    }
    classify(file_name)
}

/// The name of the whiteout that removes `file_name`.
///
/// # Errors
/// A name that is no component, or that begins with [`PREFIX`] itself: nothing of that name can
/// be in a layer.
pub fn encode(file_name: &[u8]) -> Result<Vec<u8>, WhiteoutError> {
    let refuse = |reason| {
        Err(WhiteoutError {
            name: file_name.to_vec(),
            reason,
        })
    };
    match file_name {
        b"" | b"." | b".." => return refuse("it is no file name"),
        _ if file_name.contains(&b'/') || file_name.contains(&0) => {
            return refuse("it is no file name");
        }
        _ if file_name.starts_with(PREFIX) => {
            return refuse("a layer cannot hold a file of that name");
        }
        _ => {}
    }
    Ok([PREFIX, file_name].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_image_specification_says() {
        let table = [
            ("name", Marker::None),
            (".wh", Marker::None),
            ("a.wh.b", Marker::None),
            (".wh.name", Marker::Whiteout(b"name")),
            (".wh....", Marker::Whiteout(b"...")),
            (".wh..hidden", Marker::Whiteout(b".hidden")),
            (".wh..wh..opq", Marker::Opaque),
            (".wh..wh..opq2", Marker::Metadata),
            (".wh..wh.plnk", Marker::Metadata),
            (".wh..wh.aufs", Marker::Metadata),
            (".wh..wh.orph", Marker::Metadata),
        ];
        for (name, marker) in table {
            assert_eq!(classify(name.as_bytes()), Ok(marker), "{name}");
        }
        for name in [".wh.", ".wh..", ".wh..."] {
            assert!(classify(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn paths_go_through_no_whiteout() {
        let table = [
            ("", Marker::None),
            ("a/b", Marker::None),
            ("a/.wh.b", Marker::Whiteout(b"b")),
            ("a/.wh..wh..opq", Marker::Opaque),
            (".wh..wh.plnk/12.34", Marker::Metadata),
            ("a/.wh..wh.plnk/.wh.b", Marker::Metadata),
        ];
        for (path, marker) in table {
            assert_eq!(classify_path(path.as_bytes()), Ok(marker), "{path}");
        }
        for path in [".wh.a/b", "a/.wh..wh..opq/b", ".wh../b", "a/.wh."] {
            assert!(classify_path(path.as_bytes()).is_err(), "{path}");
        }
    }

    #[test]
    fn only_names_that_a_layer_can_hold_have_a_whiteout() {
        assert_eq!(encode(b"a").as_deref(), Ok(&b".wh.a"[..]));
        assert_eq!(encode(b".whatever").as_deref(), Ok(&b".wh..whatever"[..]));
        for name in [".wh.a", ".wh.", ".wh..wh..opq", "", ".", "..", "a/b", "a\0"] {
            assert!(encode(name.as_bytes()).is_err(), "{name:?}");
        }
    }
}
