//! Names inside a layer: one normal form and one order.
//!
//! A normal path has components that are neither empty nor `.` nor `..`, joined by single
//! slashes; the root is the empty path. No symbolic link is looked at: that is for whoever holds
//! a file system.

use std::cmp::Ordering;

use crate::error::PathError;

/// Components a path may have: what Linux can name in one system call (4,096 bytes). It bounds
/// the recursion of everything that walks a tree.
pub const MAX_COMPONENTS: usize = 2048;

/// The normal form of a name: without `./`, without leading, trailing or repeated slashes.
/// `/`, `.` and the empty name are the root, which is the empty path.
///
/// # Errors
/// A `..` component, a NUL byte, or more than [`MAX_COMPONENTS`] components.
pub fn normalise(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let refuse = |reason| PathError {
        path: path.to_vec(),
        reason,
    };
    if path.contains(&0) {
        return Err(refuse("it holds a NUL byte"));
    }
    let mut normal = Vec::with_capacity(path.len());
    let mut depth = 0;
    for component in components(path) {
        if component == b".." {
            return Err(refuse("it leads upwards with .."));
        }
        depth += 1;
        if depth > MAX_COMPONENTS {
            return Err(refuse("it is too deep"));
        }
        if !normal.is_empty() {
            normal.push(b'/');
        }
        normal.extend_from_slice(component);
    }
    Ok(normal)
}

/// The components of a name as it stands, without empty ones and `.`.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
}

/// The order of normal paths in a layer: component by component, each by its bytes. A directory
/// comes before what is in it, and all that is in it before the next name beside it (`a`, `a/b`,
/// `a-b`), which plain byte order does not give.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let common = common_length(left, right);
    match (left.get(common), right.get(common)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(&a), Some(&b)) => rank(a).cmp(&rank(b)),
    }
}

/// Bytes from the start on that are the same, eight at a time: paths of one layer share most.
fn common_length(left: &[u8], right: &[u8]) -> usize {
    let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks().0);
    let same = words.take_while(|(a, b)| a == b).count() * 8;
    let rest = left[same..].iter().zip(&right[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

/// The slash ends a component, so it sorts before every byte a component can hold.
fn rank(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

/// Parent and last component of a normal path; `None` for the root.
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_what_paths_share_does_not_matter() {
        for length in 0..40 {
            let stem = "a".repeat(length);
            let order = |left: &str, right: &str| {
                let path = |end| format!("{stem}{end}").into_bytes();
                compare(&path(left), &path(right))
            };
            assert_eq!(order("", ""), Ordering::Equal);
            assert_eq!(order("", "b"), Ordering::Less);
            assert_eq!(order("/longer than a word", "-"), Ordering::Less);
            assert_eq!(order("c/longer than a word", "b/longer"), Ordering::Greater);
        }
    }

    #[test]
    fn names_of_one_file_have_one_form() {
        let table = [
            ("a", "a"),
            ("./a", "a"),
            ("/a", "a"),
            ("a/", "a"),
            ("//a//./b/.", "a/b"),
            ("...", "..."),
            ("..a", "..a"),
            ("", ""),
            (".", ""),
            ("./", ""),
            ("///", ""),
        ];
        for (path, normal) in table {
            assert_eq!(normalise(path.as_bytes()).as_deref(), Ok(normal.as_bytes()));
        }
        assert_eq!(normalise(b"\xff/\n").as_deref(), Ok(&b"\xff/\n"[..]));
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for path in ["..", "../a", "a/..", "a/../b", "/..", "a\0"] {
            assert!(normalise(path.as_bytes()).is_err(), "{path:?}");
        }
        assert!(normalise("a/".repeat(MAX_COMPONENTS).as_bytes()).is_ok());
        let error = normalise("a/".repeat(MAX_COMPONENTS + 1).as_bytes()).unwrap_err();
        assert_eq!(error.reason, "it is too deep");
    }

    #[test]
    fn a_directory_comes_before_what_is_in_it_and_that_before_its_neighbours() {
        let sorted = [
            "", "a", "a/b", "a/b/c", "a/b-c", "a\u{1}", "a-b", "a.b", "ab", "b",
        ];
        for (index, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                let order = compare(left.as_bytes(), right.as_bytes());
                assert_eq!(order, index.cmp(&other), "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn a_path_is_its_parent_and_its_name() {
        assert_eq!(split(b""), None);
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
    }
}
