//! What holds for every entry, every archive and every way of feeding it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fastlayer_tar::path::{compare, normalise};
use fastlayer_tar::sparse::Piece;
use fastlayer_tar::whiteout::{self, Marker};
use fastlayer_tar::{
    Entry, EntryKind, Limits, SparseMap, TRAILER, Timestamp, encode_header, padding,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::archive::{read, read_in};
use crate::blocks;

/// Bytes other than NUL.
fn text(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(1..=u8::MAX, length)
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop_oneof![Just(b'.'), Just(b'-'), Just(b'a'), Just(b'0'), 1..=u8::MAX];
    let short = vec(letters, 1..6);
    prop_oneof![8 => short, 1 => text(90..300),]
        .prop_map(|name| name.into_iter().filter(|&byte| byte != b'/').collect())
        .prop_filter("a component", |name: &Vec<u8>| {
            !matches!(name.as_slice(), b"" | b"." | b"..")
        })
}

/// A normal path other than the root.
fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(component(), 1..5).prop_map(|components| components.join(&b'/'))
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::File),
        Just(EntryKind::Directory),
        Just(EntryKind::Symlink),
        Just(EntryKind::Hardlink),
        Just(EntryKind::CharDevice),
        Just(EntryKind::BlockDevice),
        Just(EntryKind::Fifo),
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..2000_u32, 0o7_777_770..=0o10_000_010_u32, any::<u32>()]
}

fn seconds() -> impl Strategy<Value = i64> {
    let edge = 0o77_777_777_777_i64;
    prop_oneof![-3..3_i64, edge - 3..edge + 3, any::<i64>()]
}

fn xattrs() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let name = text(1..20).prop_filter("no =", |name: &Vec<u8>| !name.contains(&b'='));
    btree_map(name, vec(any::<u8>(), 0..40), 0..4)
}

/// Any entry that can be written, with content when it is a file.
fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let numbers = (
        0..=0o7777_u32,
        number(),
        number(),
        seconds(),
        0..2_097_152_u32,
    );
    (
        path(),
        kind(),
        numbers,
        xattrs(),
        path(),
        text(1..200),
        vec(any::<u8>(), 0..1500),
    )
        .prop_map(
            |(
                path,
                kind,
                (mode, uid, gid, seconds, device),
                xattrs,
                hardlink,
                symlink,
                content,
            )| {
                let mut entry = Entry {
                    mode,
                    uid,
                    gid,
                    xattrs,
                    ..Entry::new(path, kind)
                };
                entry.mtime = Timestamp::from_seconds(seconds);
                let mut data = Vec::new();
                match kind {
                    EntryKind::File => data = content,
                    EntryKind::Symlink => entry.link = symlink,
                    EntryKind::Hardlink => entry.link = hardlink,
                    EntryKind::CharDevice | EntryKind::BlockDevice => entry.device = (device, 7),
                    EntryKind::Directory | EntryKind::Fifo => {}
                }
                entry.size = data.len() as u64;
                (entry, data)
            },
        )
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, content) in entries {
        encode_header(entry, &mut bytes).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + padding(entry.size), 0);
    }
    bytes.extend_from_slice(&TRAILER);
    bytes
}

/// Members as others write them, some of them broken.
fn foreign_member() -> impl Strategy<Value = Vec<u8>> {
    let types = prop::sample::select(b"\x0001234567DLKgxSAVMZ".to_vec());
    let data = prop_oneof![
        vec(any::<u8>(), 0..600),
        (component(), vec(any::<u8>(), 0..9))
            .prop_map(|(_, value)| blocks::records(&[("path", b"p"), ("comment", &value)])),
        vec((0..9_u8, 0..9_u8), 0..3).prop_map(|pieces| {
            let mut data =
                blocks::records(&[("GNU.sparse.numblocks", b"1"), ("GNU.sparse.size", b"9")]);
            for (offset, length) in pieces {
                let (offset, length) = (offset.to_string(), length.to_string());
                let piece = [
                    ("GNU.sparse.offset", offset.as_bytes()),
                    ("GNU.sparse.numbytes", length.as_bytes()),
                ];
                data.extend(blocks::records(&piece));
            }
            data
        }),
    ];
    (types, "[a-c/.]{0,9}", data, any::<bool>()).prop_map(|(type_flag, name, data, is_gnu)| {
        let has_data = !b"123456".contains(&type_flag);
        let size = data.len() as u64;
        let header = blocks::header(type_flag, &name, size, |block| {
            if is_gnu || type_flag == b'S' {
                blocks::gnu_sparse(
                    block,
                    2 * size,
                    &[(1, size / 2), (size, size - size / 2)],
                    false,
                );
            }
        });
        [
            header,
            if has_data {
                blocks::padded(&data)
            } else {
                Vec::new()
            },
        ]
        .concat()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(entries in vec(entry(), 0..6)) {
        let bytes = archive(&entries);
        let read = read(&bytes).unwrap();
        prop_assert_eq!(read.members.len(), entries.len());
        for (member, (entry, content)) in read.members.iter().zip(&entries) {
            let mut expected = entry.clone();
            if entry.kind == EntryKind::Directory {
                expected.path.push(b'/');
            }
            prop_assert_eq!(&member.entry, &expected);
            prop_assert_eq!(&member.content, content);
        }
        prop_assert_eq!(read.trailer, TRAILER);
    }

    #[test]
    fn what_is_read_is_written_again(entries in vec(entry(), 0..6)) {
        let bytes = archive(&entries);
        let read = read(&bytes).unwrap();
        let members: Vec<_> = (read.members.into_iter())
            .map(|member| (member.entry, member.content))
            .collect();
        prop_assert_eq!(archive(&members), bytes);
    }

    #[test]
    fn pieces_make_no_difference(
        members in vec(foreign_member(), 0..8),
        end in 0..2000_usize,
        garbage in vec(any::<u8>(), 0..20),
        sizes in vec(1..1500_usize, 1..5),
    ) {
        let bytes = [members.concat(), vec![0; end], garbage].concat();
        let whole = read_in(&bytes, &[usize::MAX], Limits::default());
        prop_assert_eq!(read_in(&bytes, &sizes, Limits::default()), whole);
    }

    #[test]
    fn damage_is_read_or_refused(
        entries in vec(entry(), 1..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in vec(1..1500_usize, 1..5),
    ) {
        let mut bytes = archive(&entries);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        // `read_in` checks that the events of what is accepted are the archive.
        let whole = read_in(&bytes, &[usize::MAX], Limits::default());
        prop_assert_eq!(read_in(&bytes, &sizes, Limits::default()), whole);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..3000)) {
        read_in(&bytes, &[usize::MAX], Limits::default());
    }

    #[test]
    fn normal_paths_are_normal(path in path(), noise in "(\\./|/)*") {
        prop_assert_eq!(normalise(&path).unwrap(), path.clone());
        let noisy = [noise.as_bytes(), &path, b"/", noise.as_bytes()].concat();
        prop_assert_eq!(normalise(&noisy).unwrap(), path);
    }

    #[test]
    fn paths_are_ordered_by_components(left in path(), right in path()) {
        let components = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect()
        };
        prop_assert_eq!(compare(&left, &right), components(&left).cmp(&components(&right)));
        prop_assert_eq!(compare(b"", &right), Ordering::Less);
    }

    #[test]
    fn whiteouts_name_what_they_remove(name in component()) {
        match whiteout::encode(&name) {
            Ok(encoded) => {
                prop_assert_eq!(whiteout::classify(&encoded), Ok(Marker::Whiteout(&name)));
            }
            Err(_) => prop_assert!(name.starts_with(b".wh.")),
        }
    }

    #[test]
    fn a_map_is_taken_when_its_pieces_fit(
        pieces in vec((0..40_u64, 0..9_u64), 0..5), real_size in 0..50_u64, stored in 0..20_u64,
    ) {
        let mut is_taken = [false; 64];
        let mut fits = true;
        let mut position = 0;
        for &(offset, length) in &pieces {
            fits &= offset >= position && offset + length <= real_size;
            position = offset + length;
            is_taken[offset as usize..position as usize].fill(true);
        }
        fits &= is_taken.iter().filter(|&&taken| taken).count() as u64 == stored;
        let pieces = pieces.iter().map(|&(offset, length)| Piece { offset, length });
        prop_assert_eq!(SparseMap::new(real_size, pieces.collect(), stored).is_ok(), fits);
    }
}
