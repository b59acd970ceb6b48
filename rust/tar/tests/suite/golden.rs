//! The bytes the writer writes. They are a promise: a changed byte here is a change of the format,
//! and with it of every layer digest.

use fastlayer_tar::{EncodeError, Entry, EntryKind, Timestamp, encode_header};
use sha2::{Digest, Sha256};

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_header(entry, &mut bytes).unwrap();
    bytes
}

/// A header block of which all bytes but the given ones are NUL.
fn block(fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = vec![0; 512];
    for (start, text) in fields {
        block[*start..start + text.len()].copy_from_slice(text);
    }
    block
}

fn file(path: &str) -> Entry {
    Entry {
        mode: 0o644,
        uid: 1000,
        gid: 100,
        size: 42,
        mtime: Timestamp {
            seconds: 1_700_000_000,
            nanoseconds: 999_999_999,
        },
        ..Entry::new(path, EntryKind::File)
    }
}

fn refused(entry: &Entry) -> EncodeError {
    let mut bytes = b"before".to_vec();
    let error = encode_header(entry, &mut bytes).unwrap_err();
    assert_eq!(bytes, b"before", "a refused entry leaves bytes");
    error
}

#[test]
fn a_file_is_one_ustar_block() {
    let expected = block(&[
        (0, b"etc/os-release"),
        (100, b"0000644\x000001750\x000000144\x00"),
        (124, b"00000000052\x0014524770400\x00"),
        (148, b"012027\0 0"),
        (257, b"ustar\x0000"),
        (329, b"0000000\x000000000\x00"),
    ]);
    assert_eq!(encoded(&file("etc/os-release")), expected);
}

#[test]
fn a_directory_ends_in_a_slash_and_a_link_has_no_size() {
    let root = Entry::new("", EntryKind::Directory);
    assert!(encoded(&root).starts_with(b"./\0"));
    let directory = Entry::new("./usr//lib/", EntryKind::Directory);
    assert!(encoded(&directory).starts_with(b"usr/lib/\0"));
    let link = Entry {
        link: b"./a/b".to_vec(),
        ..Entry::new("c", EntryKind::Hardlink)
    };
    let link = encoded(&link);
    assert_eq!(&link[124..136], b"00000000000\0");
    assert_eq!(&link[156..161], b"1a/b\0");
}

#[test]
fn a_symbolic_link_keeps_its_target_as_it_is() {
    let link = Entry {
        link: b"../.././b/".to_vec(),
        ..Entry::new("a", EntryKind::Symlink)
    };
    assert_eq!(&encoded(&link)[156..168], b"2../.././b/\0");
}

#[test]
fn devices_have_numbers() {
    let device = Entry {
        device: (1, 0o7_777_777),
        ..Entry::new("dev/null", EntryKind::CharDevice)
    };
    let bytes = encoded(&device);
    assert_eq!(bytes[156], b'3');
    assert_eq!(&bytes[329..345], b"0000001\x007777777\x00");
}

#[test]
fn pax_has_only_what_does_not_fit_and_sorted() {
    let mut entry = Entry {
        uid: 3_000_000,
        mtime: Timestamp {
            seconds: -2,
            nanoseconds: 500_000_000,
        },
        ..file("ping")
    };
    let attributes = [
        ("user.b", &b"1\n=\0"[..]),
        ("security.capability", b"\x01"),
        ("user.a", b""),
    ];
    for (name, value) in attributes {
        entry.xattrs.insert(name.into(), value.to_vec());
    }
    let records = b"38 SCHILY.xattr.security.capability=\x01\n\
        24 SCHILY.xattr.user.a=\n\
        28 SCHILY.xattr.user.b=1\n=\0\n\
        12 mtime=-2\n\
        15 uid=3000000\n";
    let bytes = encoded(&entry);
    assert_eq!(bytes.len(), 3 * 512);
    let expected = block(&[
        (0, b"PaxHeader"),
        (100, b"0000644\x000000000\x000000000\x00"),
        (
            124,
            format!("{:011o}\x0000000000000\x00", records.len()).as_bytes(),
        ),
        (148, &bytes[148..156]),
        (156, b"x"),
        (257, b"ustar\x0000"),
        (329, b"0000000\x000000000\x00"),
    ]);
    assert_eq!(&bytes[..512], expected);
    assert_eq!(&bytes[512..1024], block(&[(0, records)]));
    assert_eq!(&bytes[1024 + 108..1024 + 116], b"0000000\0", "uid");
    assert_eq!(&bytes[1024 + 136..1024 + 148], b"00000000000\0", "mtime");
}

#[test]
fn long_names_use_the_prefix_before_they_use_pax() {
    assert_eq!(encoded(&file(&"n".repeat(100))).len(), 512);
    let one_component = encoded(&file(&"n".repeat(101)));
    assert_eq!(one_component.len(), 3 * 512, "no slash to split at");
    let split = encoded(&file(&format!("{}/{}", "p".repeat(155), "n".repeat(100))));
    assert_eq!(split.len(), 512);
    assert_eq!(&split[..101], [&[b'n'; 100][..], b"0"].concat());
    assert_eq!(&split[345..500], [b'p'; 155]);
    let long = encoded(&file(&format!("{}/{}", "p".repeat(156), "n".repeat(99))));
    assert!(long[512..].starts_with(b"266 path=ppp"));
    assert_eq!(
        &long[1024..1124],
        [b'p'; 100],
        "the beginning for old readers"
    );
    let latest = encoded(&file(&format!("a/b/{}", "n".repeat(98))));
    assert_eq!(&latest[345..349], b"a/b\0");
}

#[test]
fn a10_large_numbers_go_to_pax() {
    let mut entry = file("large");
    entry.size = 8 << 30;
    let bytes = encoded(&entry);
    assert!(bytes[512..].starts_with(b"19 size=8589934592\n\0"));
    assert_eq!(&bytes[1024 + 124..1024 + 136], b"00000000000\0");
    entry.size -= 1;
    assert_eq!(&encoded(&entry)[124..136], b"77777777777\0");
}

#[test]
fn what_tar_cannot_say_is_refused() {
    let kind = |kind| Entry::new("a", kind);
    let link = |link: &str, kind| Entry {
        link: link.into(),
        ..Entry::new("a", kind)
    };
    let sized = |kind| Entry {
        size: 1,
        ..Entry::new("a", kind)
    };
    let device = |device, kind| Entry {
        device,
        ..Entry::new("a", kind)
    };
    let mut attribute = kind(EntryKind::File);
    attribute.xattrs.insert(b"user.a=b".to_vec(), Vec::new());
    let entries = [
        Entry::new("../a", EntryKind::File),
        Entry::new("", EntryKind::File),
        Entry::new("a\0", EntryKind::File),
        Entry::new("a/".repeat(2049), EntryKind::Directory),
        Entry::new("a".repeat(70_000), EntryKind::File),
        kind(EntryKind::Symlink),
        link("../b", EntryKind::Hardlink),
        link("/", EntryKind::Hardlink),
        link("b\0", EntryKind::Symlink),
        link("b", EntryKind::File),
        sized(EntryKind::Directory),
        Entry {
            link: b"b".to_vec(),
            ..sized(EntryKind::Hardlink)
        },
        device((1, 1), EntryKind::File),
        device((1, 1 << 21), EntryKind::BlockDevice),
        Entry {
            size: u64::MAX,
            ..kind(EntryKind::File)
        },
        attribute,
    ];
    for entry in entries {
        refused(&entry);
    }
    let error = refused(&Entry::new("..", EntryKind::Directory));
    assert_eq!(
        error.to_string(),
        "unsafe path ..: it leads upwards with .."
    );
    let error = refused(&sized(EntryKind::Fifo));
    assert_eq!(
        error.to_string(),
        "cannot write a to a tar: only a file has content"
    );
}

#[test]
fn the_bytes_of_one_of_each_kind_never_change() {
    let mut bytes = Vec::new();
    let link = |path: &str, kind, link: &str| Entry {
        link: link.into(),
        mode: 0o777,
        ..Entry::new(path, kind)
    };
    let mut file = file("usr/bin/\u{e4}\u{f6}");
    file.xattrs
        .insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
    let entries = [
        Entry {
            mode: 0o755,
            ..Entry::new("", EntryKind::Directory)
        },
        Entry {
            mode: 0o1777,
            ..Entry::new("tmp", EntryKind::Directory)
        },
        file,
        link("usr/bin/copy", EntryKind::Hardlink, "usr/bin/\u{e4}\u{f6}"),
        link("bin", EntryKind::Symlink, &"long/".repeat(40)),
        Entry {
            device: (1, 3),
            mode: 0o666,
            ..Entry::new("dev/null", EntryKind::CharDevice)
        },
        Entry {
            device: (8, 1),
            ..Entry::new("dev/sda1", EntryKind::BlockDevice)
        },
        Entry::new("run/pipe", EntryKind::Fifo),
        Entry::new(".wh.gone", EntryKind::File),
    ];
    for entry in &entries {
        encode_header(entry, &mut bytes).unwrap();
    }
    let digest = Sha256::digest(&bytes);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        "8ecc800326e2a5f699464984d6d2f332bbd9ad3d5168abf79eca80c79b69ee8c"
    );
}
