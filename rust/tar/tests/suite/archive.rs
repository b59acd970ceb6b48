//! Archives as tests look at them: whole in memory, read in pieces of any size.

use fastlayer_tar::sparse::{Expander, Stretch};
use fastlayer_tar::{Entry, EntryKind, Error, Event, Limits, Reader};

/// What events gave of one member, joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub entry: Entry,
    pub header: Vec<u8>,
    pub content: Vec<u8>,
    pub padding: Vec<u8>,
}

/// All that events gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    pub members: Vec<Member>,
    pub trailer: Vec<u8>,
}

impl Archive {
    /// All bytes, in the order of the events.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for member in &self.members {
            bytes.extend_from_slice(&member.header);
            bytes.extend_from_slice(&member.content);
            bytes.extend_from_slice(&member.padding);
        }
        bytes.extend_from_slice(&self.trailer);
        bytes
    }

    pub fn paths(&self) -> Vec<String> {
        (self.members.iter())
            .map(|member| member.entry.path.escape_ascii().to_string())
            .collect()
    }

    /// Take an event; check what holds for every single one.
    fn take(&mut self, event: Event<'_>) {
        assert!(!event.bytes().is_empty(), "an empty event");
        assert!(
            self.trailer.is_empty() || matches!(event, Event::Trailer(_)),
            "an event after the trailer"
        );
        if let Event::Entry { entry, header } = event {
            self.members.push(Member {
                entry: entry.clone(),
                header: header.to_vec(),
                content: Vec::new(),
                padding: Vec::new(),
            });
            return;
        }
        if let Event::Trailer(bytes) = event {
            self.trailer.extend_from_slice(bytes);
            return;
        }
        let member = self.members.last_mut().expect("content before any entry");
        match event {
            Event::Content(bytes) => {
                assert!(member.padding.is_empty(), "content after padding");
                assert_eq!(member.entry.kind, EntryKind::File);
                member.content.extend_from_slice(bytes);
            }
            _ => member.padding.extend_from_slice(event.bytes()),
        }
    }
}

/// Read an archive in pieces of the given sizes, again and again; the members before an error
/// come with it.
pub fn read_in(bytes: &[u8], sizes: &[usize], limits: Limits) -> (Archive, Option<Error>) {
    let mut archive = Archive::default();
    let mut reader = Reader::new(limits);
    let mut sink = |event: Event<'_>| {
        archive.take(event);
        Ok(())
    };
    let mut rest = bytes;
    for size in sizes.iter().copied().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at(size.clamp(1, rest.len()));
        rest = later;
        if let Err(error) = reader.feed::<Error>(piece, &mut sink) {
            assert_eq!(reader.feed::<Error>(b"more", &mut sink), Err(error.clone()));
            assert_eq!(reader.finish::<Error>(&mut sink), Err(error.clone()));
            return (archive, Some(error));
        }
    }
    let end = reader.finish::<Error>(&mut sink);
    if end.is_ok() {
        assert_eq!(reader.position(), bytes.len() as u64);
        for member in &archive.members {
            assert_eq!(member.entry.size, member.content.len() as u64);
        }
        assert!(archive.bytes() == bytes, "the events are not the archive");
    }
    (archive, end.err())
}

/// Read an archive in one piece.
pub fn read(bytes: &[u8]) -> Result<Archive, Error> {
    match read_in(bytes, &[usize::MAX], Limits::default()) {
        (archive, None) => Ok(archive),
        (_, Some(error)) => Err(error),
    }
}

/// The whole content of a member, its holes filled with zeros, in stretches.
pub fn for_each_stretch(member: &Member, mut sink: impl FnMut(Stretch<'_>)) {
    let Some(map) = &member.entry.sparse else {
        sink(Stretch::Data(&member.content));
        return;
    };
    let mut sink = |stretch: Stretch<'_>| {
        sink(stretch);
        Ok::<(), Error>(())
    };
    let mut expander = Expander::new(map);
    for piece in member.content.chunks(1000) {
        expander.feed(piece, &mut sink).unwrap();
    }
    expander.finish(&mut sink).unwrap();
}

/// The whole content of a small member.
pub fn expand(member: &Member) -> Vec<u8> {
    let mut whole = Vec::new();
    for_each_stretch(member, |stretch| match stretch {
        Stretch::Data(data) => whole.extend_from_slice(data),
        Stretch::Hole(size) => whole.resize(whole.len() + size as usize, 0),
    });
    whole
}
