//! What the reader makes of small archives, member by member.

use fastlayer_tar::{EntryKind, Error, ErrorKind, Event, Limits, Reader, TRAILER, Timestamp};

use crate::archive::{Archive, expand, read, read_in};
use crate::blocks::*;

fn read_all(parts: &[Vec<u8>]) -> Archive {
    read(&[&parts.concat()[..], &TRAILER].concat()).unwrap()
}

/// Why an archive is refused, and where.
fn refused(parts: &[Vec<u8>]) -> (ErrorKind, u64) {
    let error = read(&[&parts.concat()[..], &TRAILER].concat()).unwrap_err();
    (error.kind, error.offset)
}

#[test]
fn an_empty_archive_has_nothing() {
    assert_eq!(read(b""), Ok(Archive::default()));
    assert_eq!(read(&TRAILER).unwrap().trailer, TRAILER);
}

#[test]
fn each_type_has_its_kind() {
    let table = [
        (0, "a", EntryKind::File),
        (0, "a/", EntryKind::Directory),
        (b'0', "a", EntryKind::File),
        // A slash makes directories only of members without a type.
        (b'0', "a/", EntryKind::File),
        (b'7', "a", EntryKind::File),
        (b'1', "a", EntryKind::Hardlink),
        (b'2', "a", EntryKind::Symlink),
        (b'3', "a", EntryKind::CharDevice),
        (b'4', "a", EntryKind::BlockDevice),
        (b'5', "a", EntryKind::Directory),
        (b'6', "a", EntryKind::Fifo),
    ];
    for (type_flag, name, kind) in table {
        // The size of all but files means nothing: no data follows.
        let size = if kind == EntryKind::File { 0 } else { 1000 };
        let archive = read_all(&[
            header(type_flag, name, size, |_| {}),
            member(b'0', "b", b"B"),
        ]);
        assert_eq!(archive.members[0].entry.kind, kind, "{type_flag} {name}");
        assert_eq!(archive.members[0].entry.path, name.as_bytes());
        assert_eq!(archive.members[1].content, b"B");
    }
}

#[test]
fn types_that_create_no_known_file_are_refused() {
    for type_flag in [b'M', b'N', b'X', b'Z', b'8', 0xff] {
        let parts = [member(b'0', "a", b"A"), member(type_flag, "b", b"")];
        assert_eq!(refused(&parts), (ErrorKind::Type(type_flag), 1024));
    }
    let error = read(&member(b'M', "b", b"")).unwrap_err();
    assert_eq!(error.to_string(), "unsupported entry type M at byte 0");
}

#[test]
fn members_without_a_file_are_part_of_the_next_header() {
    let parts = [
        member(b'V', "label", b""),
        member(b'A', "acl", b"user::rwx"),
        member(b'0', "a", b"A"),
    ];
    let archive = read_all(&parts);
    assert_eq!(archive.paths(), ["a"]);
    assert_eq!(archive.members[0].header.len(), 512 + 1024 + 512);
}

#[test]
fn a_dump_directory_is_a_directory_without_content() {
    let archive = read_all(&[member(b'D', "d/", b"Yfile\0"), member(b'0', "a", b"A")]);
    let directory = &archive.members[0];
    assert_eq!(
        (directory.entry.kind, directory.entry.size),
        (EntryKind::Directory, 0)
    );
    assert_eq!(directory.padding, padded(b"Yfile\0"));
    assert_eq!(archive.paths(), ["d/", "a"]);
}

#[test]
fn pax_overrides_the_header() {
    let numbers = pax(&[
        ("path", "p\u{e4}th".as_bytes()),
        ("uid", b"4294967295"),
        ("gid", b"3000000"),
        ("mtime", b"-1.5"),
        ("atime", b"1"),
        ("comment", b"\0"),
        ("SCHILY.xattr.user.a", b"1\n5 a=b\n\0"),
        ("SCHILY.xattr.user.empty", b""),
        ("uname", b"somebody"),
    ]);
    let archive = read_all(&[numbers, member(b'0', "old", b""), member(b'0', "next", b"")]);
    let entry = &archive.members[0].entry;
    assert_eq!(entry.path, "p\u{e4}th".as_bytes());
    assert_eq!((entry.uid, entry.gid), (u32::MAX, 3_000_000));
    let mtime = Timestamp {
        seconds: -2,
        nanoseconds: 500_000_000,
    };
    assert_eq!(entry.mtime, mtime);
    assert_eq!(entry.xattrs[&b"user.a"[..]], b"1\n5 a=b\n\0");
    assert_eq!(entry.xattrs[&b"user.empty"[..]], b"");
    assert_eq!(entry.xattrs.len(), 2);
    assert_eq!(archive.members[1].entry.path, b"next", "records count once");
}

#[test]
fn the_size_of_pax_counts_and_no_smuggled_header() {
    let hidden = [member(b'0', "evil", b""), vec![0; 100]].concat();
    let size = hidden.len().to_string();
    let file = header(b'0', "blob", 0, |_| {});
    let archive = read_all(&[pax(&[("size", size.as_bytes())]), file, padded(&hidden)]);
    assert_eq!(archive.paths(), ["blob"]);
    assert_eq!(archive.members[0].content, hidden);
    // It belongs to the file, not to the long name between them.
    let long = member(b'L', "././@LongLink", b"long\0");
    let file = header(b'0', "blob", 0, |_| {});
    let archive = read_all(&[pax(&[("size", b"3")]), long, file, padded(b"abc")]);
    assert_eq!(archive.paths(), ["long"]);
    assert_eq!(archive.members[0].content, b"abc");
}

#[test]
fn of_several_names_go_decides_which_counts() {
    let x = |path: &str| pax(&[("path", path.as_bytes())]);
    let l = |path: &str| member(b'L', "././@LongLink", path.as_bytes());
    let g = || {
        member(
            b'g',
            "global",
            &records(&[("path", b"global"), ("uid", b"7")]),
        )
    };
    let file = || member(b'0', "ustar", b"");
    let table: [(&[Vec<u8>], &str); 9] = [
        (&[x("one"), x("two"), file()], "two"),
        (
            &[pax(&[("path", b"one")]), pax(&[("uid", b"1")]), file()],
            "ustar",
        ),
        (&[x(""), file()], "ustar"),
        (&[l("long\0rest"), x("pax"), file()], "long"),
        (&[x("pax"), l("long"), file()], "long"),
        (&[x("pax"), l("\0"), file()], "pax"),
        (&[l("one"), l("two"), file()], "two"),
        (&[g(), file()], "ustar"),
        (&[x("pax"), l("long"), g(), file()], "ustar"),
    ];
    for (parts, path) in table {
        let archive = read_all(parts);
        assert_eq!(archive.paths(), [path]);
        assert_ne!(archive.members[0].entry.uid, 7, "a global record counts");
    }
}

#[test]
fn long_links_and_prefixes_are_joined() {
    let link = header(b'2', "a", 0, |block| put(block, 157, &[b'l'; 100]));
    let long = member(b'K', "././@LongLink", &[b'k'; 200]);
    let prefixed = header(b'0', "name", 0, |block| put(block, 345, &[b'p'; 155]));
    let archive = read_all(&[link.clone(), long, link, prefixed]);
    assert_eq!(archive.members[0].entry.link, [b'l'; 100]);
    assert_eq!(archive.members[1].entry.link, [b'k'; 200]);
    assert_eq!(
        archive.members[2].entry.path,
        [&[b'p'; 155][..], b"/name"].concat()
    );
}

#[test]
fn malformed_headers_are_refused_where_they_are() {
    let broken = |start: usize, text: &'static [u8]| {
        [
            member(b'0', "a", b"A"),
            header(b'0', "b", 0, |block| put(block, start, text)),
        ]
    };
    let number = |field| ErrorKind::Number { field };
    let table = [
        (broken(100, b"rw-r--r-"), number("mode")),
        (
            broken(108, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            number("uid"),
        ),
        (broken(116, b"\x80\0\0\x01\0\0\0\0"), number("gid")),
        (broken(124, b"-0000000001\0"), number("size")),
        (
            broken(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            number("size"),
        ),
        (broken(136, b"9"), number("mtime")),
        (broken(329, b"x"), number("devmajor")),
    ];
    for (parts, kind) in table {
        assert_eq!(refused(&parts), (kind, 1024));
    }
    let mut damaged = member(b'0', "a", b"A");
    damaged[3] ^= 1;
    assert_eq!(refused(&[damaged]), (ErrorKind::Checksum, 0));
}

#[test]
fn malformed_extended_headers_are_refused() {
    let file = || member(b'0', "a", b"");
    let value = |key| ErrorKind::PaxValue { key };
    let table: [(&str, &[u8], ErrorKind); 9] = [
        ("uid", b"x", value("uid")),
        ("uid", b"4294967296", ErrorKind::Number { field: "uid" }),
        ("gid", b"-1", ErrorKind::Number { field: "gid" }),
        ("size", b"1.5", value("size")),
        ("size", b"-1", ErrorKind::Number { field: "size" }),
        ("mtime", b"1748089464.951928467a", value("mtime")),
        ("ctime", b"now", value("ctime")),
        ("path", b"a\0b", ErrorKind::Pax("a name holds a NUL byte")),
        (
            "SCHILY.xattr.",
            b"v",
            ErrorKind::Pax("an extended attribute without a name"),
        ),
    ];
    for (key, text, kind) in table {
        let parts = [pax(&[(key, text)]), file()];
        assert_eq!(refused(&parts).0, kind, "{key}");
    }
    let global = member(b'g', "global", b"5 a=b");
    let (kind, offset) = refused(&[file(), global, file()]);
    assert!(matches!(kind, ErrorKind::Pax(_)));
    assert_eq!(offset, 1024, "where its records begin");
}

#[test]
fn an_archive_may_end_without_end_blocks() {
    let file = member(b'0', "a", b"A");
    for (end, trailer) in [(0, 0), (512, 512), (1024, 1024), (10_000, 10_000)] {
        let archive = read(&[file.clone(), vec![0; end]].concat()).unwrap();
        assert_eq!(
            (archive.paths(), archive.trailer.len()),
            (vec!["a".into()], trailer)
        );
    }
    // Within the padding too.
    for length in 513..=1024 {
        assert_eq!(read(&file[..length]).unwrap().paths(), ["a"]);
    }
}

#[test]
fn content_may_be_taken_past_the_reader() {
    let archive = [
        member(b'0', "a", &[b'A'; 700]),
        member(b'0', "b", b"B"),
        b"no header".repeat(100),
    ];
    let archive = archive.concat();
    let mut seen = Vec::new();
    let mut sink = |event: Event<'_>| {
        seen.push(match event {
            Event::Entry { entry, .. } => String::from_utf8_lossy(&entry.path).into_owned(),
            event => event.bytes().len().to_string(),
        });
        Ok::<(), Error>(())
    };
    let mut reader = Reader::new(Limits::default());
    assert_eq!(reader.expected_content(), 0);
    reader.feed(&archive[..512], &mut sink).unwrap();
    assert_eq!(reader.expected_content(), 700);
    reader.skip_content(300);
    reader.feed(&archive[812..912], &mut sink).unwrap();
    assert_eq!((reader.expected_content(), reader.position()), (300, 912));
    // No more than there is of it.
    reader.skip_content(1000);
    assert_eq!((reader.expected_content(), reader.position()), (0, 1212));
    let error = reader.feed(&archive[1212..], &mut sink).unwrap_err();
    assert_eq!((error.offset, error.kind), (2560, ErrorKind::Checksum));
    assert_eq!(seen, ["a", "100", "324", "b", "1", "511"]);
}

#[test]
fn what_follows_the_end_blocks_is_kept_and_not_read() {
    let rest = [&TRAILER[..], &member(b'0', "b", b"B"), b"garbage"].concat();
    let archive = read(&[member(b'0', "a", b"A"), rest.clone()].concat()).unwrap();
    assert_eq!(archive.paths(), ["a"]);
    assert_eq!(archive.trailer, rest);
}

#[test]
fn a_lone_zero_block_is_no_end() {
    let parts = [
        member(b'0', "a", b"A"),
        vec![0; 512],
        member(b'0', "b", b"B"),
    ];
    assert_eq!(refused(&parts), (ErrorKind::LoneZeroBlock, 1536));
}

#[test]
fn an_extended_header_needs_an_entry_but_a_global_one_does_not() {
    for part in [
        pax(&[("uid", b"1")]),
        pax(&[]),
        member(b'L', "././@LongLink", b"a"),
    ] {
        let end = part.len() as u64;
        assert_eq!(read(&part).unwrap_err().offset, end);
        assert_eq!(refused(&[part]), (ErrorKind::Dangling, end + 1024));
    }
    let global = member(b'g', "global", &records(&[("comment", b"c")]));
    let archive = read_all(std::slice::from_ref(&global));
    assert_eq!(archive.members, []);
    assert_eq!(archive.trailer, [&global[..], &TRAILER].concat());
}

#[test]
fn an_archive_cut_anywhere_is_read_up_to_there_or_refused() {
    let sparse = header(b'S', "s", 3, |block| gnu_sparse(block, 9, &[(1, 1)], true));
    let bytes = [
        pax(&[("path", b"x")]),
        member(b'0', "a", &[b'A'; 700]),
        [sparse, gnu_sparse_block(&[(4, 2)], false), padded(b"abc")].concat(),
        member(b'D', "d", b"Ya\0"),
        TRAILER.to_vec(),
    ]
    .concat();
    let whole = read(&bytes).unwrap();
    for length in 0..bytes.len() {
        let (archive, error) = read_in(&bytes[..length], &[usize::MAX], Limits::default());
        assert!(whole.paths().starts_with(&archive.paths()), "{length}");
        if let Some(error) = error {
            let is_cut = matches!(
                error.kind,
                ErrorKind::Truncated { .. } | ErrorKind::Dangling
            );
            assert!(is_cut, "{error} when cut at {length}");
            assert_eq!(error.offset, length as u64);
        }
    }
}

#[test]
fn sparse_files_of_all_four_forms_are_the_same() {
    let expected = b"\0ab\0\0\0c\0\0";
    let old = header(b'S', "s", 3, |block| {
        gnu_sparse(block, 9, &[(1, 2), (6, 1)], false)
    });
    let file = |size| header(b'0', "GNUSparseFile.0/s", size, |_| {});
    let pieces = [
        ("GNU.sparse.offset", &b"1"[..]),
        ("GNU.sparse.numbytes", b"2"),
        ("GNU.sparse.offset", b"6"),
        ("GNU.sparse.numbytes", b"1"),
    ];
    let count = [
        ("GNU.sparse.size", &b"9"[..]),
        ("GNU.sparse.numblocks", b"2"),
    ];
    let name = ("GNU.sparse.name", &b"s"[..]);
    let version = |major, minor| {
        [
            ("GNU.sparse.major", major),
            ("GNU.sparse.minor", minor),
            name,
        ]
    };
    let (zero, one): (&[u8], &[u8]) = (b"0", b"1");
    let real = [("GNU.sparse.realsize", &b"9"[..])];
    let forms = [
        [old, padded(b"abc")].concat(),
        [
            pax(&[&count[..], &pieces, &[name]].concat()),
            file(3),
            padded(b"abc"),
        ]
        .concat(),
        [
            pax(&[
                &version(zero, one)[..],
                &count,
                &[("GNU.sparse.map", b"1,2,6,1")],
            ]
            .concat()),
            file(3),
            padded(b"abc"),
        ]
        .concat(),
        [
            pax(&[&version(one, zero)[..], &real].concat()),
            file(515),
            padded(b"2\n1\n2\n6\n1\n"),
            padded(b"abc"),
        ]
        .concat(),
    ];
    for form in forms {
        let archive = read_all(&[form, member(b'0', "next", b"N")]);
        assert_eq!(archive.paths(), ["s", "next"]);
        let sparse = &archive.members[0];
        assert_eq!((sparse.entry.content_size(), sparse.entry.size), (9, 3));
        assert_eq!(sparse.content, b"abc");
        assert_eq!(expand(sparse), expected);
    }
}

#[test]
fn maps_of_sparse_files_must_agree_with_the_file() {
    let old = |pieces: &[(u64, u64)], stored: u64| {
        let header = header(b'S', "s", stored, |block| {
            gnu_sparse(block, 9, pieces, false)
        });
        [header, padded(&vec![b's'; stored as usize])]
    };
    read_all(&old(&[(0, 9)], 9));
    read_all(&old(&[(9, 0)], 0));
    for (pieces, stored) in [
        (&[(1, 2), (2, 1)][..], 3),
        (&[(6, 1), (1, 2)], 3),
        (&[(6, 4)], 4),
        (&[(6, 1)], 2),
        (&[(6, 1)], 0),
        (&[(0o77_777_777_777, 1)], 1),
    ] {
        let (kind, _) = refused(&old(pieces, stored));
        assert!(matches!(kind, ErrorKind::Sparse(_)), "{pieces:?}");
    }
    let ustar = header(b'S', "s", 0, |_| {});
    assert!(matches!(refused(&[ustar]).0, ErrorKind::Sparse(_)));
    let version = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let directory = [pax(&version), header(b'5', "d", 0, |_| {})];
    assert!(matches!(refused(&directory).0, ErrorKind::Sparse(_)));
    let endless = [
        pax(&version),
        member(
            b'0',
            "s",
            &[b"2\n1\n1\n"[..].to_vec(), vec![b'1'; 600]].concat(),
        ),
    ];
    assert!(matches!(refused(&endless).0, ErrorKind::Sparse(_)));
}

#[test]
fn an_unknown_sparse_version_is_an_ordinary_file() {
    let version = [("GNU.sparse.major", &b"2"[..]), ("GNU.sparse.minor", b"0")];
    let archive = read_all(&[pax(&version), member(b'0', "s", b"as it is")]);
    assert_eq!(archive.members[0].entry.sparse, None);
    assert_eq!(archive.members[0].content, b"as it is");
}

#[test]
fn an_error_of_the_listener_stops_the_reading() {
    #[derive(Debug, PartialEq)]
    enum Stop {
        Full,
        Archive,
    }
    impl From<Error> for Stop {
        fn from(_: Error) -> Self {
            Self::Archive
        }
    }
    let bytes = [member(b'0', "a", b"A"), member(b'0', "b", b"B")].concat();
    let seen = std::cell::Cell::new(0);
    let mut sink = |_: Event<'_>| {
        seen.set(seen.get() + 1);
        if seen.get() < 3 {
            Ok(())
        } else {
            Err(Stop::Full)
        }
    };
    let mut reader = Reader::new(Limits::default());
    assert_eq!(reader.feed(&bytes, &mut sink), Err(Stop::Full));
    assert_eq!(seen.get(), 3);
    let mut reader = Reader::new(Limits::default());
    assert_eq!(reader.feed(&[1; 512], &mut sink), Err(Stop::Archive));
}
