//! What the properties of tars share: reading one in pieces, and mending its checksums.

use fastlayer_tar::{BLOCK_SIZE, Entry, Error, Event, Limits, Reader};

/// What an archive gave: its entries with their stored contents, all bytes, and the fault.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) members: Vec<Member>,
    pub(crate) bytes: Vec<u8>,
    /// The end, and headers that no entry follows.
    pub(crate) trailer: Vec<u8>,
    pub(crate) error: Option<Error>,
}

/// One entry and what the archive has of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) entry: Entry,
    /// All raw bytes in front of the content.
    pub(crate) header: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

impl Outcome {
    fn take(&mut self, event: Event<'_>) {
        self.bytes.extend_from_slice(event.bytes());
        match event {
            Event::Entry { entry, header } => self.members.push(Member {
                entry: entry.clone(),
                header: header.to_vec(),
                content: Vec::new(),
            }),
            Event::Content(bytes) => {
                let member = self.members.last_mut();
                let member = member.expect("content comes after an entry");
                member.content.extend_from_slice(bytes);
            }
            Event::Padding(_) => {}
            Event::Trailer(bytes) => self.trailer.extend_from_slice(bytes),
        }
    }
}

/// Reads `archive` in pieces of `piece` bytes.
pub(crate) fn read(archive: &[u8], piece: usize) -> Outcome {
    read_in_pieces(archive, piece, false)
}

/// As [`read`], but contents are taken past the reader.
pub(crate) fn read_past(archive: &[u8], piece: usize) -> Outcome {
    read_in_pieces(archive, piece, true)
}

fn read_in_pieces(archive: &[u8], piece: usize, past: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut reader = Reader::new(Limits::default());
    let mut rest = archive;
    let mut end = Ok(());
    while end.is_ok() && !rest.is_empty() {
        let mut count = piece.min(rest.len());
        let expected = usize::try_from(reader.expected_content()).unwrap_or(usize::MAX);
        let is_past = past && expected > 0;
        if is_past {
            count = count.min(expected);
        }
        let (bytes, after) = rest.split_at(count);
        rest = after;
        if is_past {
            outcome.take(Event::Content(bytes));
            reader.skip_content(count as u64);
            continue;
        }
        end = reader.feed::<Error>(bytes, &mut |event| {
            outcome.take(event);
            Ok(())
        });
    }
    let end = end.and_then(|()| {
        reader.finish::<Error>(&mut |event| {
            outcome.take(event);
            Ok(())
        })
    });
    outcome.error = end.err();
    outcome
}

/// Puts the right checksum into every block that could be a header: nobody hits upon one. Data
/// behind a header whose size is plain is left as it is.
pub(crate) fn mend_checksums(archive: &mut [u8]) {
    let mut rest = archive;
    while rest.len() >= BLOCK_SIZE {
        let (block, after) = rest.split_at_mut(BLOCK_SIZE);
        let mut data = 0;
        if !block.starts_with(&[0]) {
            block[148..156].fill(b' ');
            let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            data = data_blocks(block);
        }
        let data = (data * BLOCK_SIZE).min(after.len());
        rest = &mut after[data..];
    }
}

fn data_blocks(header: &[u8]) -> usize {
    if b"123456".contains(&header[156]) {
        return 0;
    }
    let digits = std::str::from_utf8(&header[124..135]).unwrap_or_default();
    let size = usize::from_str_radix(digits, 8).unwrap_or(0);
    size.div_ceil(BLOCK_SIZE)
}
