//! Reading tasks: what is whole is read, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use fastlayer_sandbox::Task;
use fastlayer_sandbox::failure::Failure;
use fastlayer_sandbox::message::Message;
use fastlayer_sandbox::task::{Capabilities, Limit, MAGIC, Mount, Mounted, Options};
use proptest::prelude::*;

/// Writes messages as `container/drivers/task.py` does.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(self, text: &[u8]) -> Self {
        let mut written = self.number(u32::try_from(text.len()).unwrap());
        written.0.extend(text);
        written
    }

    fn texts(self, texts: &[&[u8]]) -> Self {
        let count = u32::try_from(texts.len()).unwrap();
        texts
            .iter()
            .fold(self.number(count), |w, text| w.text(text))
    }
}

fn message() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.0.extend(MAGIC);
    writer
        .text(b"/root")
        .number(0b110_1001)
        .number(0x2000_0000)
        .number(77)
        .text(b"host")
        .texts(&[b"sh", b"-c", b""])
        .texts(&[b"A=1"])
        .text(b"/work")
        .number(1000)
        .number(1001)
        .number(1)
        .number(10)
        .long(7)
        .long(3)
        .long(1)
        .long(0)
        .number(1)
        .number(7)
        .long(512)
        .long(u64::MAX)
        .number(2)
        .text(b"/proc")
        .long(14)
        .number(1)
        .text(b"proc")
        .text(b"proc")
        .number(1)
        .text(b"hidepid")
        .text(b"2")
        .text(b"/etc/hosts")
        .long(1)
        .number(0)
        .text(b"/run/hosts")
        .texts(&[b"/dev/fuse"])
        .texts(&[b"/proc/kcore"])
        .texts(&[b"/proc/sys"])
        .text(&[6, 0, 0, 0, 0, 0, 0xff, 0x7f])
        .0
}

fn task() -> Task {
    let words = |words: &[&str]| {
        let words = words.iter();
        words
            .map(|word| (*word).to_owned().into_bytes())
            .collect::<Vec<_>>()
    };
    let strings = |texts: &[&str]| {
        let texts = texts.iter();
        texts
            .map(|text| std::ffi::CString::new(*text).unwrap())
            .collect::<Vec<_>>()
    };
    Task {
        root: b"/root".to_vec(),
        options: Options {
            read_only_root: true,
            reaper: true,
            loopback: true,
            root_only: true,
            ..Options::default()
        },
        namespaces: 0x2000_0000,
        beside: 77,
        hostname: b"host".to_vec(),
        arguments: strings(&["sh", "-c", ""]),
        environment: strings(&["A=1"]),
        working_directory: b"/work".to_vec(),
        uid: 1000,
        gid: 1001,
        groups: vec![10],
        capabilities: Capabilities {
            bounding: 7,
            effective: 3,
            permitted: 1,
            inheritable: 0,
        },
        limits: vec![Limit {
            resource: 7,
            soft: 512,
            hard: u64::MAX,
        }],
        mounts: vec![
            Mount {
                what: Mounted::FileSystem {
                    kind: b"proc".to_vec(),
                    source: b"proc".to_vec(),
                    options: vec![(b"hidepid".to_vec(), b"2".to_vec())],
                },
                target: b"/proc".to_vec(),
                attributes: 14,
            },
            Mount {
                what: Mounted::Bind {
                    source: b"/run/hosts".to_vec(),
                },
                target: b"/etc/hosts".to_vec(),
                attributes: 1,
            },
        ],
        devices: words(&["/dev/fuse"]),
        masked: words(&["/proc/kcore"]),
        read_only: words(&["/proc/sys"]),
        filter: vec![6, 0, 0, 0, 0, 0, 0xff, 0x7f],
    }
}

#[test]
fn what_is_whole_is_read() {
    assert_eq!(Task::decode(&message()).unwrap(), task());
}

#[test]
fn what_is_not_is_refused() {
    let whole = message();
    for length in 0..whole.len() {
        assert!(Task::decode(&whole[..length]).is_err(), "{length} bytes");
    }
    let refusal = |message: &[u8]| Task::decode(message).unwrap_err().to_string();
    assert_eq!(
        refusal(&[&whole[..], b"x"].concat()),
        "the task is too long"
    );
    let mut other = whole.clone();
    other[3] = MAGIC[3] + 1;
    assert_eq!(refusal(&other), "the task is from another version");
    let mut option = whole;
    option[13] = 0xff;
    assert_eq!(refusal(&option), "the task has an unknown option");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Task::decode(&[MAGIC.as_slice(), &bytes].concat());
    }

    #[test]
    fn one_changed_byte_does_not_either(position in 0_usize..300, byte in any::<u8>()) {
        let mut bytes = message();
        let position = position % bytes.len();
        bytes[position] = byte;
        let _ = Task::decode(&bytes);
    }
}

#[test]
fn messages_have_a_letter_a_number_and_a_text() {
    assert_eq!(Message::Terminal.encode(), b"T\0\0\0\0");
    assert_eq!(Message::Started(258).encode(), b"S\x02\x01\0\0");
    assert_eq!(Message::Exited(137).encode(), b"X\x89\0\0\0");
    let failure = Failure {
        exit_code: 127,
        message: "exec: none".to_owned(),
    };
    assert_eq!(Message::Failed(failure).encode(), b"F\x7f\0\0\0exec: none");
}
