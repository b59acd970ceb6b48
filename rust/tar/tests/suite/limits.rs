//! What an archive may not make the reader keep.

use fastlayer_tar::{ErrorKind, Limits, TRAILER};

use crate::archive::read_in;
use crate::blocks::*;

fn refused(parts: &[Vec<u8>], limits: Limits) -> Option<ErrorKind> {
    let bytes = [&parts.concat()[..], &TRAILER].concat();
    let (_, error) = read_in(&bytes, &[4096], limits);
    error.map(|error| error.kind)
}

fn is_limit(kind: Option<ErrorKind>) -> bool {
    matches!(kind, Some(ErrorKind::Limit { .. }))
}

#[test]
fn an_extended_header_is_bounded_before_it_is_gathered() {
    for type_flag in *b"xgLKA" {
        let header = header(type_flag, "h", Limits::EXTENSION_BYTES + 1, |_| {});
        assert!(is_limit(refused(&[header], Limits::default())));
    }
    let value = vec![b'v'; (Limits::EXTENSION_BYTES - 18) as usize];
    let largest = pax(&[("comment", &value)]);
    assert_eq!(largest.len(), 512 + (1 << 20));
    let parts = [largest, member(b'0', "a", b"")];
    assert_eq!(refused(&parts, Limits::default()), None);
}

#[test]
fn all_that_stands_before_an_entry_is_bounded() {
    let part = member(b'g', "g", &records(&[("comment", &[b'c'; 1 << 19])]));
    let parts = vec![part; 16];
    assert!(is_limit(refused(&parts, Limits::default())));
    // Entries in between make room.
    let parts: Vec<_> = (parts.into_iter())
        .flat_map(|part| [part, member(b'0', "a", b"")])
        .collect();
    assert_eq!(refused(&parts, Limits::default()), None);
}

#[test]
fn paths_and_links_are_bounded() {
    let limits = Limits {
        path_bytes: 10,
        ..Limits::default()
    };
    let table = [
        (member(b'0', "0123456789", b""), false),
        (member(b'0', "0123456789a", b""), true),
        (
            header(b'2', "a", 0, |block| put(block, 157, b"0123456789a")),
            true,
        ),
        (
            [pax(&[("path", b"0123456789a")]), member(b'0', "a", b"")].concat(),
            true,
        ),
    ];
    for (part, is_refused) in table {
        assert_eq!(is_limit(refused(&[part], limits)), is_refused);
    }
}

#[test]
fn the_depth_of_paths_is_bounded() {
    let limits = Limits {
        path_components: 3,
        ..Limits::default()
    };
    let link = |type_flag, target: &[u8]| {
        let target = target.to_vec();
        header(type_flag, "l", 0, move |block| put(block, 157, &target))
    };
    let table = [
        (member(b'0', ".//a/./b//c", b""), false),
        (member(b'0', "a/b/c/d", b""), true),
        (member(b'5', "a/b/../d/", b""), true),
        (link(b'1', b"./a/b/c"), false),
        (link(b'1', b"/a/b/c/d"), true),
        (link(b'2', b"a/b/c/d"), false),
    ];
    for (part, is_refused) in table {
        assert_eq!(is_limit(refused(&[part], limits)), is_refused);
    }
}

#[test]
fn pieces_of_a_sparse_file_are_bounded() {
    let limits = Limits {
        sparse_pieces: 5,
        ..Limits::default()
    };
    let pieces: Vec<_> = (0..7).map(|offset| (offset, 0)).collect();
    let old = |more: &[(u64, u64)]| {
        let header = header(b'S', "s", 0, |block| {
            gnu_sparse(block, 9, &pieces[..4], true)
        });
        [header, gnu_sparse_block(more, false)].concat()
    };
    assert_eq!(refused(&[old(&pieces[4..5])], limits), None);
    assert!(is_limit(refused(&[old(&pieces[4..])], limits)));
    let many = [
        ("GNU.sparse.numblocks", &b"6"[..]),
        ("GNU.sparse.map", b"0"),
    ];
    assert!(is_limit(refused(
        &[pax(&many), member(b'0', "s", b"")],
        limits
    )));
    let version = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let text = [pax(&version), member(b'0', "s", &padded(b"6\n"))];
    assert!(is_limit(refused(&text, limits)));
}

#[test]
fn endless_maps_of_empty_blocks_are_bounded() {
    let header = header(b'S', "s", 0, |block| gnu_sparse(block, 9, &[], true));
    let parts = [vec![header], vec![gnu_sparse_block(&[], true); 17_000]].concat();
    assert!(is_limit(refused(&parts, Limits::default())));
}

#[test]
fn entries_are_bounded() {
    let limits = Limits {
        entries: 2,
        ..Limits::default()
    };
    let part = member(b'0', "a", b"A");
    assert_eq!(refused(&vec![part.clone(); 2], limits), None);
    let error = refused(&vec![part; 3], limits).unwrap();
    assert_eq!(
        error.to_string(),
        "the number of entries exceeds the limit of 2"
    );
}
