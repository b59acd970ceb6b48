//! What a sandbox is to start, as one message of bytes.
//!
//! Whoever asks encodes; [`Task::decode`] reads it back. Numbers are little-endian, a text is its
//! length (`u32`) and its bytes, a list is its count (`u32`) and its elements. No input or output
//! happens here, and nothing is trusted: a message that is cut off, too long or from another
//! version is refused.

use std::ffi::CString;

use crate::error::{Error, Result};

/// The first four bytes of every message; the last of them is the version of the form.
pub const MAGIC: [u8; 4] = *b"FLT\x02";

/// A process to start, and what it finds around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Where its root directory is.
    pub root: Vec<u8>,
    /// Switches.
    pub options: Options,
    /// Namespaces to make, or to enter, as the flags of `unshare`.
    pub namespaces: u32,
    /// A process whose namespaces are entered, and whose root with them; 0 makes new ones.
    pub beside: u32,
    /// Host name; empty leaves it.
    pub hostname: Vec<u8>,
    /// The program and its arguments.
    pub arguments: Vec<CString>,
    /// `NAME=value`, complete.
    pub environment: Vec<CString>,
    /// Absolute working directory.
    pub working_directory: Vec<u8>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Device nodes of the host that appear at the same path.
    pub devices: Vec<Vec<u8>>,
    /// Paths that look empty.
    pub masked: Vec<Vec<u8>>,
    /// Paths that cannot be written.
    pub read_only: Vec<Vec<u8>>,
    /// The filter of system calls: instructions of classic BPF of eight bytes each; empty for none.
    pub filter: Vec<u8>,
}

/// Switches of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The root cannot be written.
    pub read_only_root: bool,
    /// `no_new_privs`.
    pub no_new_privileges: bool,
    /// The process gets a terminal of its own.
    pub terminal: bool,
    /// The first process of the namespace is ours and reaps what the process leaves behind; else
    /// the process itself is the first.
    pub reaper: bool,
    /// Device nodes that the process finds or makes work.
    pub devices_work: bool,
    /// The loopback interface of a network namespace is switched on.
    pub loopback: bool,
    /// Nothing but the root directory is changed: no namespace is made and nothing mounted.
    pub root_only: bool,
}

/// Sets of capabilities, one bit each by the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What can ever be had.
    pub bounding: u64,
    /// What counts.
    pub effective: u64,
    /// What may be made to count.
    pub permitted: u64,
    /// What a program may inherit.
    pub inheritable: u64,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The kernel's number of the resource.
    pub resource: u32,
    /// What counts.
    pub soft: u64,
    /// How far it can be raised.
    pub hard: u64,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub what: Mounted,
    /// Absolute path in the new root; links are followed inside it.
    pub target: Vec<u8>,
    /// `MOUNT_ATTR_*`.
    pub attributes: u64,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// A file or directory of the host, with all that is mounted below it.
    Bind {
        /// Its path.
        source: Vec<u8>,
    },
    /// A new file system.
    FileSystem {
        /// Its type.
        kind: Vec<u8>,
        /// What `/proc/mounts` shows as its device.
        source: Vec<u8>,
        /// Options; an empty value is a switch.
        options: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

impl Task {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not one, or not whole.
    pub fn decode(message: &[u8]) -> Result<Self> {
        let mut reader = Reader(message);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Error::Invalid("the task is from another version"));
        }
        let task = Self {
            root: reader.text()?,
            options: Options::of_bits(reader.number()?)?,
            namespaces: reader.number()?,
            beside: reader.number()?,
            hostname: reader.text()?,
            arguments: reader.list(Reader::word)?,
            environment: reader.list(Reader::word)?,
            working_directory: reader.text()?,
            uid: reader.number()?,
            gid: reader.number()?,
            groups: reader.list(Reader::number)?,
            capabilities: Capabilities {
                bounding: reader.long()?,
                effective: reader.long()?,
                permitted: reader.long()?,
                inheritable: reader.long()?,
            },
            limits: reader.list(Reader::limit)?,
            mounts: reader.list(Reader::mount)?,
            devices: reader.list(Reader::text)?,
            masked: reader.list(Reader::text)?,
            read_only: reader.list(Reader::text)?,
            filter: reader.text()?,
        };
        if !reader.0.is_empty() {
            return Err(Error::Invalid("the task is too long"));
        }
        if task.arguments.is_empty() {
            return Err(Error::Invalid("a program needs a name"));
        }
        Ok(task)
    }
}

impl Options {
    fn of_bits(bits: u32) -> Result<Self> {
        if bits >> 7 != 0 {
            return Err(Error::Invalid("the task has an unknown option"));
        }
        let bit = |number: u32| bits >> number & 1 == 1;
        Ok(Self {
            read_only_root: bit(0),
            no_new_privileges: bit(1),
            terminal: bit(2),
            reaper: bit(3),
            devices_work: bit(4),
            loopback: bit(5),
            root_only: bit(6),
        })
    }
}

/// The rest of a message.
struct Reader<'message>(&'message [u8]);

impl<'message> Reader<'message> {
    fn take(&mut self, length: usize) -> Result<&'message [u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Error::Invalid("the task is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let bytes = self.take(LENGTH)?;
        bytes
            .try_into()
            .map_err(|_| Error::Invalid("the task is cut off"))
    }

    fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<Vec<u8>> {
        let length = self.number()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn word(&mut self) -> Result<CString> {
        CString::new(self.text()?)
            .map_err(|_| Error::Invalid("an argument or variable holds a zero byte"))
    }

    fn list<T>(&mut self, element: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        // Grows with what is there, not with what the message claims.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn limit(&mut self) -> Result<Limit> {
        Ok(Limit {
            resource: self.number()?,
            soft: self.long()?,
            hard: self.long()?,
        })
    }

    fn mount(&mut self) -> Result<Mount> {
        let target = self.text()?;
        let attributes = self.long()?;
        let what = match self.number()? {
            0 => Mounted::Bind {
                source: self.text()?,
            },
            1 => Mounted::FileSystem {
                kind: self.text()?,
                source: self.text()?,
                options: self.list(|reader| Ok((reader.text()?, reader.text()?)))?,
            },
            _ => return Err(Error::Invalid("the task has an unknown kind of mount")),
        };
        Ok(Mount {
            what,
            target,
            attributes,
        })
    }
}
