//! GNU tar as the second opinion: we read what it writes, and it reads what we write.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use fastlayer_tar::{Entry, EntryKind, TRAILER, Timestamp, encode_header, padding};

use crate::archive::{Member, expand, read};
use crate::requirements;

/// Run tar; its standard output, and whether it did what it was asked.
fn tar(directory: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("tar")
        .current_dir(directory)
        .env("LC_ALL", "C")
        .env_remove("TAR_OPTIONS")
        .args(arguments)
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!("tar: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output.stdout)
}

/// A small tree with what formats differ in.
fn make_tree(root: &Path, longest_name: usize) {
    let name = |length: usize| "n".repeat(length.min(longest_name));
    let directory = root.join(name(60)).join(name(90));
    fs::create_dir_all(&directory).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("zero"), b"").unwrap();
    fs::write(root.join("full"), [b'f'; 512]).unwrap();
    fs::write(
        root.join(OsStr::from_bytes(b"\xff\xfe not text\n")),
        b"bytes",
    )
    .unwrap();
    fs::write(directory.join(name(30)), vec![b'x'; 1_000]).unwrap();
    fs::hard_link(root.join("full"), root.join("full-too")).unwrap();
    symlink("../over/there/", root.join("link")).unwrap();
    symlink("l".repeat(longest_name), root.join("long-link")).unwrap();
}

/// Check a member against the file it was made of.
fn compare(root: &Path, member: &Member) {
    let entry = &member.entry;
    let path = root.join(OsStr::from_bytes(&entry.path));
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert_eq!(entry.mode, metadata.mode() & 0o7777, "{path:?}");
    assert_eq!((entry.uid, entry.gid), (metadata.uid(), metadata.gid()));
    assert_eq!(entry.mtime.seconds, metadata.mtime());
    match entry.kind {
        EntryKind::File => {
            assert_eq!(entry.content_size(), metadata.len(), "{path:?}");
            assert!(expand(member) == fs::read(&path).unwrap(), "{path:?}");
        }
        EntryKind::Directory => assert!(metadata.is_dir()),
        EntryKind::Symlink => {
            let target = fs::read_link(&path).unwrap();
            assert_eq!(entry.link, target.as_os_str().as_bytes());
        }
        EntryKind::Hardlink => {
            let target = root.join(OsStr::from_bytes(&entry.link));
            assert_eq!(fs::symlink_metadata(target).unwrap().ino(), metadata.ino());
        }
        other => panic!("{path:?} is {other:?}"),
    }
}

fn count(root: &Path) -> usize {
    let children = fs::read_dir(root).unwrap().map(|child| child.unwrap());
    1 + children
        .map(|child| match child.file_type().unwrap().is_dir() {
            true => count(&child.path()),
            false => 1,
        })
        .sum::<usize>()
}

#[test]
fn every_format_of_gnu_tar_reads_as_the_files_it_was_made_of() {
    if !requirements::program("tar") {
        return;
    }
    for (format, longest_name) in [
        ("v7", 20),
        ("ustar", 90),
        ("oldgnu", 250),
        ("gnu", 250),
        ("pax", 250),
    ] {
        let directory = tempfile::tempdir().unwrap();
        make_tree(directory.path(), longest_name);
        let format = format!("--format={format}");
        let bytes = tar(directory.path(), &[&format, "-cf", "-", "."]).unwrap();
        let archive = read(&bytes).unwrap();
        assert_eq!(archive.members.len(), count(directory.path()), "{format}");
        for member in &archive.members {
            compare(directory.path(), member);
        }
    }
}

#[test]
fn pax_of_gnu_tar_has_nanoseconds_and_attributes() {
    if !requirements::program("tar") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, b"content").unwrap();
    let touched = Command::new("touch")
        .args(["-d", "1969-12-31T23:59:58.25Z"])
        .arg(&path)
        .status();
    assert!(touched.unwrap().success());
    let bytes = tar(directory.path(), &["--format=pax", "-cf", "-", "file"]).unwrap();
    let entry = &read(&bytes).unwrap().members[0].entry;
    let mtime = Timestamp {
        seconds: -2,
        nanoseconds: 250_000_000,
    };
    assert_eq!(entry.mtime, mtime);
    let attributed = Command::new("setfattr")
        .args(["-n", "user.key", "-v", "0x610a3d00"])
        .arg(&path)
        .status();
    if !attributed.is_ok_and(|status| status.success()) {
        return requirements::missing("no setfattr, or no attributes on this file system");
    }
    let bytes = tar(directory.path(), &["--xattrs", "-cf", "-", "file"]).unwrap();
    let entry = &read(&bytes).unwrap().members[0].entry;
    assert_eq!(entry.xattrs[&b"user.key"[..]], b"a\n=\0");
}

#[test]
fn sparse_files_of_every_form_of_gnu_tar_are_whole_again() {
    if !requirements::program("tar") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // Beyond 4 pieces the old form needs a second block, beyond 25 a third.
    for (name, pieces) in [("none", 0), ("few", 3), ("more", 20), ("many", 60)] {
        let file = File::create(directory.path().join(name)).unwrap();
        for piece in 0..pieces {
            file.write_at(&[b'p'; 5_000], piece * 100_000 + 1_000)
                .unwrap();
        }
        file.set_len(pieces * 100_000 + 50_000).unwrap();
    }
    let forms = [
        &["--format=gnu"][..],
        &["--format=oldgnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for form in forms {
        let arguments = [
            form,
            &["--sparse", "-cf", "-", "none", "few", "more", "many"],
        ]
        .concat();
        let archive = read(&tar(directory.path(), &arguments).unwrap()).unwrap();
        assert_eq!(archive.paths(), ["none", "few", "more", "many"]);
        for member in &archive.members {
            assert!(member.entry.sparse.is_some(), "{form:?}: no holes");
            compare(directory.path(), member);
        }
    }
}

#[test]
fn what_we_write_gnu_tar_extracts() {
    if !requirements::program("tar") {
        return;
    }
    let (uid, gid) = {
        let metadata = tempfile::tempdir().unwrap().path().metadata().unwrap();
        (metadata.uid(), metadata.gid())
    };
    let entry = |path: &[u8], kind, mode, link: &[u8]| Entry {
        uid,
        gid,
        mode,
        link: link.to_vec(),
        mtime: Timestamp::from_seconds(-1_000_000_000),
        ..Entry::new(path, kind)
    };
    let long = [&[b'd'; 150][..], b"/", &[b'f'; 200]].concat();
    let entries = [
        entry(b"", EntryKind::Directory, 0o755, b""),
        entry(&long[..150], EntryKind::Directory, 0o2755, b""),
        entry(&long, EntryKind::File, 0o640, b""),
        entry(b"hardlink", EntryKind::Hardlink, 0o640, &long),
        entry(b"link", EntryKind::Symlink, 0o777, &[b'l'; 300]),
        entry(b"bytes \xff\n", EntryKind::File, 0o4711, b""),
    ];
    let mut bytes = Vec::new();
    for mut entry in entries {
        let content: &[u8] = if entry.kind == EntryKind::File {
            b"content"
        } else {
            b""
        };
        entry.size = content.len() as u64;
        encode_header(&entry, &mut bytes).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + padding(entry.size), 0);
    }
    bytes.extend_from_slice(&TRAILER);
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.tar");
    let root = directory.path().join("root");
    fs::write(&archive, &bytes).unwrap();
    fs::create_dir(&root).unwrap();
    tar(&root, &["-xpf", archive.to_str().unwrap()]).unwrap();
    let read = read(&bytes).unwrap();
    assert_eq!(read.members.len(), count(&root));
    for member in &read.members {
        compare(&root, member);
    }
}
