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

/// Reads `archive` in pieces of `piece` bytes.
pub(crate) fn read(archive: &[u8], piece: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut sink = |event: Event<'_>| {
        outcome.bytes.extend_from_slice(event.bytes());
        match event {
            Event::Entry { entry, header } => outcome.members.push(Member {
                entry: entry.clone(),
                header: header.to_vec(),
                content: Vec::new(),
            }),
            Event::Content(bytes) => {
                let member = outcome.members.last_mut();
                let member = member.expect("content comes after an entry");
                member.content.extend_from_slice(bytes);
            }
            Event::Padding(_) => {}
            Event::Trailer(bytes) => outcome.trailer.extend_from_slice(bytes),
        }
        Ok(())
    };
    let mut reader = Reader::new(Limits::default());
    let fed = archive
        .chunks(piece)
        .try_for_each(|piece| reader.feed::<Error>(piece, &mut sink));
    let end = fed.and_then(|()| reader.finish::<Error>(&mut sink));
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
