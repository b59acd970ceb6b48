//! Objects: whole file contents, each stored once, uncompressed, named by its BLAKE3.
//!
//! An object is born with the mode, owner and time of the first file that has its content, so that
//! a checkout can link it; it never bears extended attributes. It is never written again.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

use fastlayer_fs::{Directory, Metadata, Published, TemporaryFile};
use rustix::fs::{Advice, Gid, Mode, Timespec, Timestamps, Uid, fadvise, fchmod, fchown, futimens};

use crate::area::{Fanout, file_name};
use crate::digest::{ContentHasher, ContentId};
use crate::error::{Error, Result};
use crate::store::Store;

/// A content up to this size lies in a segment or beside its recipe; a larger one is an object.
pub const INLINE_LIMIT: u64 = 4096;

/// An object of this size begins its way to the disk as soon as it is written, so that a sync at the
/// end has little left to wait for. Smaller ones are better written many at a time.
const EARLY_SIZE: u64 = 128 << 10;

/// Shortest write of nothing but zeros that is left out.
const HOLE_FLOOR: usize = 64 << 10;

/// What an object's inode is born with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Birth {
    pub(crate) fn of(entry: &fastlayer_tar::Entry) -> Self {
        Self {
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            seconds: entry.mtime.seconds,
            nanoseconds: entry.mtime.nanoseconds,
        }
    }

    /// The caller's own ids need no call, and other ids may be out of reach without privilege: a
    /// checkout compares what the inode has, so a wrong owner costs a copy and nothing else.
    /// `made` is the mode that the file was opened with.
    fn apply(self, file: &File, made: u32) {
        let own = rustix::process::geteuid().as_raw() == self.uid
            && rustix::process::getegid().as_raw() == self.gid;
        if !own {
            let _ = fchown(
                file,
                Some(Uid::from_raw(self.uid)),
                Some(Gid::from_raw(self.gid)),
            );
        }
        // After the owner, whose change clears the set-user-id bit.
        if made != self.mode || self.mode & umask() != 0 || !own {
            let _ = fchmod(file, Mode::from_raw_mode(self.mode));
        }
        let time = Timespec {
            tv_sec: self.seconds,
            tv_nsec: i64::from(self.nanoseconds),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let _ = futimens(file, &times);
    }
}

/// The process's umask, read once. Where it changes meanwhile, objects are born with a mode that
/// their checkouts do not take for the right one: that costs copies and nothing else.
fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let digits = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let mask = digits.map(|digits| u32::from_str_radix(digits.trim(), 8));
        mask.and_then(Result::ok).unwrap_or(0o777)
    })
}

impl Store {
    /// Whether the object is stored. One that another process is making durable at this moment
    /// may be overlooked, which costs a second copy at worst.
    pub fn has_object(&self, id: &ContentId) -> Result<bool> {
        let id = id.as_bytes();
        Ok(self.durable().objects.find(id)?.is_some()
            || self.unsynced().objects.find(id)?.is_some())
    }

    /// Metadata of the object's inode, if it is stored.
    pub fn object_metadata(&self, id: &ContentId) -> Result<Option<Metadata>> {
        self.lookup(id.as_bytes(), |area| &area.objects, Fanout::find)
    }

    /// The object, open for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn open_object(&self, id: &ContentId) -> Result<File> {
        self.lookup(id.as_bytes(), |area| &area.objects, Fanout::open_file)?
            .ok_or_else(|| Error::not_found(format!("object {id}")))
    }

    /// Looks in both areas. A sync moves files from the second to the first, so what is in
    /// neither is looked for in the first once more.
    pub(crate) fn lookup<T>(
        &self,
        id: &[u8; 32],
        place: impl Fn(&crate::area::Area) -> &Fanout,
        look: impl Fn(&Fanout, &[u8; 32]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        for area in [self.durable(), self.unsynced(), self.durable()] {
            if let Some(found) = look(place(area), id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stores a whole content unless it is there; true when it is new.
    pub(crate) fn put_object(&self, id: &ContentId, bytes: &[u8], birth: Birth) -> Result<bool> {
        // Before anything is written, unlike in `publish`.
        if self.holds_object(id)? {
            return Ok(false);
        }
        let mut writer = ObjectWriter::new(self, birth.mode)?;
        writer.write(bytes)?;
        writer.publish_new(self, id, birth)
    }

    /// Makes an object of a file that nobody writes again, without copying it; true when new.
    pub(crate) fn adopt_object(&self, id: &ContentId, file: &File) -> Result<bool> {
        if self.holds_object(id)? {
            return Ok(false);
        }
        let shard = self.unsynced().objects.ensured(id.as_bytes()[0])?;
        match shard.link_at(file, &file_name(id.as_bytes())) {
            Ok(()) => Ok(true),
            Err(error) if error.is_exists() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object on its way into the store.
pub(crate) struct ObjectWriter<'store> {
    file: TemporaryFile<'store>,
    staging: &'store Directory,
    /// The mode that the file was opened with.
    mode: u32,
    /// Bytes written, without holes.
    written: u64,
    /// Zeros at the end that are not written yet: a hole, unless something follows.
    hole: u64,
}

impl<'store> ObjectWriter<'store> {
    /// `mode` is what the object is expected to be born with.
    pub(crate) fn new(store: &'store Store, mode: u32) -> Result<Self> {
        let staging = store.staging();
        let mode = mode & 0o777;
        Ok(Self {
            file: TemporaryFile::new_in(staging, mode)?,
            staging,
            mode,
            written: 0,
            hole: 0,
        })
    }

    /// Appends bytes; a long run of zeros becomes a hole.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= HOLE_FLOOR && bytes.iter().all(|byte| *byte == 0) {
            self.skip(bytes.len() as u64);
            return Ok(());
        }
        self.fill_hole()?;
        self.written += bytes.len() as u64;
        let result = self.file.file_mut().write_all(bytes);
        result.map_err(|source| self.failed(source))
    }

    /// Appends `length` zeros without storing them.
    pub(crate) fn skip(&mut self, length: u64) {
        self.hole += length;
    }

    fn fill_hole(&mut self) -> Result<()> {
        if self.hole > 0 {
            use std::io::{Seek, SeekFrom};
            let distance = i64::try_from(self.hole)
                .map_err(|_| Error::limit("size of a file", i64::MAX.unsigned_abs()))?;
            let result = self.file.file_mut().seek(SeekFrom::Current(distance));
            result.map_err(|source| self.failed(source))?;
            self.hole = 0;
        }
        Ok(())
    }

    /// Names the object unless it is there; true when it is new.
    pub(crate) fn publish(self, store: &Store, id: &ContentId, birth: Birth) -> Result<bool> {
        if store.holds_object(id)? {
            return Ok(false);
        }
        self.publish_new(store, id, birth)
    }

    /// Names the object, which was not there a moment ago; true when it is new.
    pub(crate) fn publish_new(
        mut self,
        store: &Store,
        id: &ContentId,
        birth: Birth,
    ) -> Result<bool> {
        if self.hole > 0 {
            self.fill_hole()?;
            use std::io::Seek;
            let file = self.file.file_mut();
            let end = file.stream_position();
            let result = end.and_then(|end| file.set_len(end));
            result.map_err(|source| self.failed(source))?;
        }
        birth.apply(self.file.file(), self.mode);
        if self.written >= EARLY_SIZE {
            // Its pages are dirty, so they are sent to the disk and not dropped.
            let _ = fadvise(self.file.file(), 0, None, Advice::DontNeed);
        }
        let shard = store.unsynced().objects.ensured(id.as_bytes()[0])?;
        let published = self.file.publish(&shard, &file_name(id.as_bytes()))?;
        Ok(published == Published::New)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::io(
            format!(
                "cannot write an object in {}",
                self.staging.path().display()
            ),
            source,
        )
    }
}

/// Checks that `file` holds the content `id`.
pub(crate) fn verify_object(id: &ContentId, mut file: File) -> Result<()> {
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = crate::read::read_some(&mut file, &mut buffer)
            .map_err(|source| Error::io(format!("object {id}"), source))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let found = hasher.finish();
    if found == *id {
        return Ok(());
    }
    Err(Error::corrupt(
        format!("object {id}"),
        format!("its content has the id {found}"),
    ))
}
