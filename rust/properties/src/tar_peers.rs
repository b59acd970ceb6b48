//! Where Python's `tarfile` or GNU tar accept an archive that our reader accepts, they see the same
//! members: names, types, modes, owners, times, sizes, link targets, devices and contents.
//!
//! `docs/formats/tar.md` lists where they differ on purpose; archives of these kinds are left out.

use std::ops::Range;

use fastlayer_tar::sparse::{Expander, Stretch};
use fastlayer_tar::{BLOCK_SIZE, EntryKind};

use crate::Property;
use crate::archive::{Member, mend_checksums, read};
use crate::peer::{Python, run};
use crate::take::Take;

/// The fields of a header that are numbers: mode, owners, size, time, devices.
const NUMBERS: [Range<usize>; 7] = [
    100..108,
    108..116,
    116..124,
    124..136,
    136..148,
    329..337,
    337..345,
];
/// Largest content that is compared.
const MOST: u64 = 1 << 20;
/// One of so many inputs is shown to GNU tar: starting it takes longer than all the rest.
const GNU_SHARE: u32 = 16;

/// The reader of tars beside others. The input is an archive.
pub struct TarPeers {
    python: Python,
}

impl TarPeers {
    /// Starts the peer.
    pub fn new() -> Self {
        Self {
            python: Python::new(),
        }
    }
}

impl Default for TarPeers {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for TarPeers {
    fn check(&mut self, bytes: &[u8]) {
        let mut archive = bytes.to_vec();
        mend_checksums(&mut archive);
        let found = read(&archive, archive.len().max(1));
        // A label without a file, say: Python lists it.
        let has_more = found.trailer.first().is_some_and(|byte| *byte != 0);
        if found.error.is_some() || has_more || found.members.iter().any(is_read_differently) {
            return;
        }
        if let Some(answer) = self.python.ask(b't', &archive) {
            let expected = listed(&answer);
            let found: Vec<Shown> = found.members.iter().map(Shown::of).collect();
            assert_eq!(found, expected, "tarfile sees other members");
        }
        let sum = blake3::hash(&archive).as_bytes()[0];
        if u32::from(sum).is_multiple_of(GNU_SHARE) && !found.members.iter().any(is_gnu_only) {
            check_gnu(&archive, &found.members);
        }
    }
}

/// A member as it is compared.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    seconds: i64,
    size: u64,
    device: (u32, u32),
    path: Vec<u8>,
    link: Vec<u8>,
    content: Vec<u8>,
}

impl Shown {
    fn of(member: &Member) -> Self {
        let entry = &member.entry;
        let size = entry.content_size();
        Self {
            kind: match entry.kind {
                EntryKind::File => b'0',
                EntryKind::Hardlink => b'1',
                EntryKind::Symlink => b'2',
                EntryKind::CharDevice => b'3',
                EntryKind::BlockDevice => b'4',
                EntryKind::Directory => b'5',
                EntryKind::Fifo => b'6',
            },
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            seconds: entry.mtime.seconds,
            size,
            device: entry.device,
            path: without_slashes(&entry.path),
            link: entry.link.clone(),
            content: if size <= MOST {
                expanded(member)
            } else {
                Vec::new()
            },
        }
    }
}

/// Where the readers are known to differ, or what they show cannot be compared.
fn is_read_differently(member: &Member) -> bool {
    let mut flags = Vec::new();
    let mut header = member.header.as_slice();
    let mut last = header;
    let sparse = b"GNU.sparse";
    let mut odd =
        member.entry.sparse.is_none() && header.windows(sparse.len()).any(|text| text == sparse);
    while header.len() >= BLOCK_SIZE {
        let block = &header[..BLOCK_SIZE];
        flags.push(block[156]);
        odd |= b"LK".contains(&block[156]) && is_odd_name(header);
        odd |= NUMBERS
            .into_iter()
            .any(|field| begins_with_zero(&block[field]));
        last = block;
        // Only headers matter here: data of extensions is looked at like one, which leaves out
        // some archives more than it must.
        header = &header[BLOCK_SIZE..];
    }
    let extensions = flags.iter().filter(|flag| b"xLK".contains(flag)).count();
    odd |= flags.iter().any(|flag| b"gAVDX".contains(flag)) || extensions > 1;
    // Whose header it is decides what its fields mean; Python reads them all the same.
    let foreign = match &last[257..265] {
        b"ustar\x0000" => &[],
        b"ustar  \0" => &last[345..500],
        _ => &last[257..500],
    };
    // Whether it is a directory, Python tells by the name that the long one replaces.
    odd |= last[156] == 0 && extensions > 0;
    odd || foreign.iter().any(|byte| *byte != 0)
}

/// Whether a long name is empty, or does not end in NUL.
fn is_odd_name(header: &[u8]) -> bool {
    let (block, data) = header.split_at(BLOCK_SIZE);
    let size = std::str::from_utf8(&block[124..135]).unwrap_or_default();
    let size = usize::from_str_radix(size, 8).unwrap_or(0);
    let name = data.get(..size).unwrap_or_default();
    name.first().is_none_or(|first| *first == 0) || name.last() != Some(&0)
}

/// GNU tar takes a file whose name ends in a slash for a directory, and whatever has a size for
/// something with data.
fn is_gnu_only(member: &Member) -> bool {
    let header = member.header.last_chunk::<BLOCK_SIZE>();
    let has_size = header.is_some_and(|block| {
        let mut size = block[124..136].iter();
        size.any(|byte| !b"0 \0".contains(byte))
    });
    match member.entry.kind {
        EntryKind::File => member.entry.path.ends_with(b"/"),
        _ => has_size,
    }
}

/// Python takes a number to end at the first NUL, and so these for 0.
fn begins_with_zero(field: &[u8]) -> bool {
    field[0] == 0 && field.iter().any(|byte| *byte != 0)
}

/// What Python says.
fn listed(answer: &[u8]) -> Vec<Shown> {
    let mut rest = Take(answer);
    let mut members = Vec::new();
    while !rest.is_empty() {
        let kind = rest.byte();
        let mut short = || u32::from_le_bytes([rest.byte(), rest.byte(), rest.byte(), rest.byte()]);
        let mut shorts = [0; 3];
        shorts.fill_with(&mut short);
        let mut long = || u64::from(short()) | u64::from(short()) << 32;
        let (seconds, size) = (long().cast_signed(), long());
        let device = (short(), short());
        let [mode, uid, gid] = shorts;
        let [path, link, content] = [(); 3].map(|()| {
            let length = [rest.byte(), rest.byte(), rest.byte(), rest.byte()];
            rest.bytes(u32::from_le_bytes(length) as usize).to_vec()
        });
        // What means nothing for a kind is shown as it stands in the header.
        members.push(Shown {
            kind,
            mode,
            owner: (uid, gid),
            seconds,
            size: if kind == b'0' { size } else { 0 },
            device: if b"34".contains(&kind) {
                device
            } else {
                (0, 0)
            },
            path: without_slashes(&path),
            link: if b"12".contains(&kind) {
                link
            } else {
                Vec::new()
            },
            content,
        });
    }
    members
}

/// GNU tar's own listing, field by field, and the contents of all files one after the other.
fn check_gnu(archive: &[u8], members: &[Member]) {
    const LIST: [&str; 6] = [
        "-tv",
        "--numeric-owner",
        "--full-time",
        "--quoting-style=escape",
        "-f",
        "-",
    ];
    let Some(listing) = run("tar", &LIST, archive) else {
        return;
    };
    let found: Vec<Vec<u8>> = members.iter().map(line).collect();
    let expected: Vec<Vec<u8>> = listing
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(squeezed)
        .collect();
    let shown = |lines: &[Vec<u8>]| -> Vec<String> {
        let text = lines.iter().map(|line| String::from_utf8_lossy(line));
        text.map(std::borrow::Cow::into_owned).collect()
    };
    assert_eq!(
        shown(&found),
        shown(&expected),
        "GNU tar sees other members"
    );
    // Of a sparse file it leaves out a hole at the end.
    if members.iter().all(|member| member.entry.sparse.is_none())
        && let Some(contents) = run("tar", &["-xOf", "-"], archive)
    {
        let ours: Vec<u8> = members
            .iter()
            .flat_map(|member| member.content.clone())
            .collect();
        assert!(ours == contents, "GNU tar sees other contents");
    }
}

/// A member as GNU tar lists it, but for its name, which it quotes.
fn line(member: &Member) -> Vec<u8> {
    let entry = &member.entry;
    let kind = match entry.kind {
        EntryKind::File => b'-',
        EntryKind::Hardlink => b'h',
        EntryKind::Symlink => b'l',
        EntryKind::CharDevice => b'c',
        EntryKind::BlockDevice => b'b',
        EntryKind::Directory => b'd',
        EntryKind::Fifo => b'p',
    };
    let size = match entry.kind {
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            format!("{},{}", entry.device.0, entry.device.1)
        }
        _ => entry.content_size().to_string(),
    };
    let mut line = vec![kind];
    line.extend(permissions(entry.mode));
    line.extend(format!(" {}/{} {size}", entry.uid, entry.gid).bytes());
    line
}

fn permissions(mode: u32) -> Vec<u8> {
    let mut text: Vec<u8> = (0..9)
        .map(|bit| match mode >> (8 - bit) & 1 {
            0 => b'-',
            _ => b"rwx"[bit % 3],
        })
        .collect();
    for (bit, at, with, without) in [
        (0o4000, 2, b's', b'S'),
        (0o2000, 5, b's', b'S'),
        (0o1000, 8, b't', b'T'),
    ] {
        if mode & bit != 0 {
            text[at] = if text[at] == b'x' { with } else { without };
        }
    }
    text
}

/// The first three fields of a line, with one blank between them. What has no content is listed with
/// the size that stands in its header.
fn squeezed(line: &[u8]) -> Vec<u8> {
    let fields = line.split(|byte| *byte == b' ');
    let mut fields: Vec<&[u8]> = fields.filter(|field| !field.is_empty()).take(3).collect();
    if let ([b'd' | b'h' | b'l' | b'p', ..], Some(size)) = (line, fields.get_mut(2)) {
        *size = b"0";
    }
    let mut line = fields.join(&b' ');
    if line.first() == Some(&b'C') {
        // A file of old, "contiguous".
        line[0] = b'-';
    }
    line
}

/// The content of a file with its holes.
fn expanded(member: &Member) -> Vec<u8> {
    let Some(map) = &member.entry.sparse else {
        return member.content.clone();
    };
    let mut content = Vec::new();
    let mut sink = |stretch: Stretch<'_>| {
        match stretch {
            Stretch::Data(bytes) => content.extend_from_slice(bytes),
            Stretch::Hole(length) => {
                let length = usize::try_from(length).expect("a file that is compared");
                content.resize(content.len() + length, 0);
            }
        }
        Ok::<(), std::convert::Infallible>(())
    };
    let mut expander = Expander::new(map);
    let Ok(()) = expander.feed(&member.content, &mut sink);
    let Ok(()) = expander.finish(&mut sink);
    content
}

fn without_slashes(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|byte| *byte != b'/');
    path[..end.map_or(0, |end| end + 1)].to_vec()
}
