//! Real archives: our listing against that of Go's archive/tar, which reads layers for Docker,
//! BuildKit, containerd, buildah and podman.

use std::path::Path;
use std::process::{Command, Stdio};

use fastlayer_tar::{EntryKind, Limits};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::archive::{Archive, Member, for_each_stretch, read, read_in};
use crate::requirements;
use fastlayer_tar::sparse::Stretch;

/// Archives that Go lists and we refuse, and why. The last one fails in Go too, but only when the
/// content is read: it stores one byte more than its map has.
const STRICTER_THAN_GO: [(&str, &str); 3] = [
    ("go/pax-path-hdr.tar", "no entry follows"),
    (
        "tokio-tar/diff-024-pending-pax-boundary.tar",
        "no entry follows",
    ),
    (
        "libarchive/test_read_format_gtar_sparse_skip_entry.tar.Z",
        "its pieces are not the bytes it stores",
    ),
];

/// Larger contents have no digest in the listing; neither have empty ones.
const LARGEST_DIGEST: u64 = 64 << 20;

#[test]
fn real_archives_read_as_go_reads_them() {
    let Some(corpus) = requirements::corpus() else {
        return;
    };
    let listings = std::fs::read(corpus.join("LISTINGS.json")).unwrap();
    let listings: Value = serde_json::from_slice(&listings).unwrap();
    let mut compared = 0;
    let mut differences = Vec::new();
    for listing in listings["listings"].as_array().unwrap() {
        let file = text(&listing["file"]);
        let Some(bytes) = decompressed(&corpus.join(file)) else {
            continue;
        };
        compared += 1;
        if let Err(difference) = compare(file, &bytes, &listing["go"]) {
            differences.push(format!("{file}: {difference}"));
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert!(compared > 130, "only {compared} archives");
}

#[test]
fn real_archives_give_the_same_events_in_any_pieces() {
    let Some(corpus) = requirements::corpus() else {
        return;
    };
    let sources = std::fs::read_to_string(corpus.join("SOURCES.tsv")).unwrap();
    for line in sources.lines().skip(1) {
        let file = line.split('\t').next().unwrap();
        let Some(bytes) = decompressed(&corpus.join(file)) else {
            continue;
        };
        let whole = read_in(&bytes, &[usize::MAX], Limits::default());
        for sizes in [&[1][..], &[511, 2], &[512], &[513], &[7, 4096, 1]] {
            assert!(
                read_in(&bytes, sizes, Limits::default()) == whole,
                "{file} in {sizes:?}"
            );
        }
    }
}

fn compare(file: &str, bytes: &[u8], go: &Value) -> Result<(), String> {
    let stricter = STRICTER_THAN_GO.iter().find(|(name, _)| *name == file);
    let (archive, error) = read_in(bytes, &[usize::MAX], Limits::default());
    match (&error, go["error"].as_str(), stricter) {
        (None, None, None) | (Some(_), Some(_), None) => {}
        (Some(error), None, Some((_, reason))) if error.to_string().contains(reason) => {}
        (ours, theirs, _) => return Err(format!("error {ours:?}, Go's {theirs:?}")),
    }
    // Global headers and Solaris access control lists create no file; Go lists them.
    let entries = go["entries"].as_array().unwrap();
    let theirs = entries.iter().filter(|entry| !is_one_of(entry, "gA"));
    let theirs: Vec<&Value> = theirs.collect();
    if stricter.is_some() {
        return Ok(());
    }
    if theirs.len() != archive.members.len() {
        let paths = archive.paths();
        return Err(format!("{paths:?}, Go has {} members", theirs.len()));
    }
    for (member, entry) in archive.members.iter().zip(theirs) {
        compare_member(member, entry, error.is_some())
            .map_err(|difference| format!("{}: {difference}", member.entry.path.escape_ascii()))?;
    }
    Ok(())
}

fn compare_member(member: &Member, go: &Value, is_cut: bool) -> Result<(), String> {
    let entry = &member.entry;
    let check = |what: &str, ours: String, theirs: String| match ours == theirs {
        true => Ok(()),
        false => Err(format!("{what} {ours}, Go's {theirs}")),
    };
    let number = |key: &str| go[key].as_i64().unwrap_or(0);
    check(
        "name",
        escaped(&entry.path),
        escaped(&bytes_of(&go["name"])),
    )?;
    check("kind", format!("{:?}", entry.kind), go_kind(go))?;
    check(
        "mode",
        entry.mode.to_string(),
        (number("mode") & 0o7777).to_string(),
    )?;
    check("uid", entry.uid.to_string(), number("uid").to_string())?;
    check("gid", entry.gid.to_string(), number("gid").to_string())?;
    let mtime = (entry.mtime.seconds, entry.mtime.nanoseconds);
    check(
        "mtime",
        format!("{mtime:?}"),
        format!("{:?}", timestamp(text(&go["mtime"]))),
    )?;
    if matches!(entry.kind, EntryKind::Symlink | EntryKind::Hardlink) {
        check(
            "link",
            escaped(&entry.link),
            escaped(&bytes_of(&go["link"])),
        )?;
    }
    if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        let theirs = (number("devmajor") as u32, number("devminor") as u32);
        check(
            "device",
            format!("{:?}", entry.device),
            format!("{theirs:?}"),
        )?;
    }
    compare_attributes(member, go)?;
    if entry.kind != EntryKind::File {
        return Ok(());
    }
    check(
        "size",
        entry.content_size().to_string(),
        number("size").to_string(),
    )?;
    if is_cut || entry.content_size() == 0 || entry.content_size() > LARGEST_DIGEST {
        return Ok(());
    }
    check("digest", digest(member), text(&go["sha256"]).to_owned())
}

fn compare_attributes(member: &Member, go: &Value) -> Result<(), String> {
    let mut ours = member.entry.xattrs.clone();
    for (key, value) in go["pax"].as_object().into_iter().flatten() {
        let Some(name) = key.strip_prefix("SCHILY.xattr.") else {
            continue;
        };
        let theirs = bytes_of(value);
        if ours.remove(name.as_bytes()) != Some(theirs) {
            return Err(format!("attribute {name} differs"));
        }
    }
    match ours.is_empty() {
        true => Ok(()),
        false => Err(format!("attributes {ours:?} unknown to Go")),
    }
}

fn digest(member: &Member) -> String {
    let zeros = vec![0; 1 << 16];
    let mut sha = Sha256::new();
    for_each_stretch(member, |stretch| match stretch {
        Stretch::Data(data) => sha.update(data),
        Stretch::Hole(mut size) => {
            while size > 0 {
                let length = size.min(zeros.len() as u64);
                sha.update(&zeros[..length as usize]);
                size -= length;
            }
        }
    });
    sha.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn go_kind(go: &Value) -> String {
    let kind = match text(&go["type"]) {
        "0" | "7" | "S" => EntryKind::File,
        "1" => EntryKind::Hardlink,
        "2" => EntryKind::Symlink,
        "3" => EntryKind::CharDevice,
        "4" => EntryKind::BlockDevice,
        "5" | "D" => EntryKind::Directory,
        "6" => EntryKind::Fifo,
        other => return format!("type {other}"),
    };
    format!("{kind:?}")
}

fn is_one_of(entry: &Value, types: &str) -> bool {
    types.contains(text(&entry["type"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Text, or bytes that are not UTF-8 behind `base64:`.
fn bytes_of(value: &Value) -> Vec<u8> {
    let text = text(value);
    let Some(encoded) = text.strip_prefix("base64:") else {
        return text.as_bytes().to_vec();
    };
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in encoded.bytes().filter(|&byte| byte != b'=') {
        let digit = alphabet.iter().position(|&letter| letter == byte).unwrap();
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Seconds and nanoseconds of `2012-10-14T20:03:12.023960108Z`.
fn timestamp(text: &str) -> (i64, u32) {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970 with the year beginning in March, so that leap days come last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let fraction = text[19..].trim_end_matches('Z').trim_start_matches('.');
    let nanoseconds = format!("{fraction:0<9}").parse().unwrap();
    ((days - 719_468) * 86_400 + seconds, nanoseconds)
}

/// The archive's bytes. Compression is no matter of this crate, so programs undo it.
fn decompressed(path: &Path) -> Option<Vec<u8>> {
    let program = match path.extension()?.to_str()? {
        "tar" => return Some(std::fs::read(path).unwrap()),
        "gz" | "Z" => "gzip",
        "bz2" => "bzip2",
        "xz" => "xz",
        "zst" => "zstd",
        // lzip is no form in which layers come.
        _ => return None,
    };
    if !requirements::program(program) {
        return None;
    }
    let output = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::from(std::fs::File::open(path).unwrap()))
        .output()
        .unwrap();
    // Garbage after the last gzip member is a warning, and the archive is there.
    assert!(!output.stdout.is_empty(), "{}", path.display());
    Some(output.stdout)
}

#[test]
fn one_archive_has_the_members_and_bytes_it_is_known_for() {
    let Some(corpus) = requirements::corpus() else {
        return;
    };
    let open =
        |file: &str| -> Archive { read(&std::fs::read(corpus.join(file)).unwrap()).unwrap() };
    let smuggled = open("tokio-tar/pax-header-precedence.tar");
    assert_eq!(smuggled.paths(), ["normal.txt", "blob.bin", "marker.txt"]);
    let concatenated = open("libarchive/test_read_format_tar_concatenated.tar");
    assert_eq!(concatenated.paths(), ["file1"]);
    assert!(concatenated.trailer.len() > 1024);
    let dump = open("go/gnu-incremental.tar");
    assert_eq!(dump.members[0].entry.kind, EntryKind::Directory);
    assert!(dump.members[0].padding.starts_with(b"Y"));
}
