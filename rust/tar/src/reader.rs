//! The push parser.

use crate::entry::Event;
use crate::error::Error;
use crate::limits::Limits;

/// A push parser for tar archives.
#[derive(Debug)]
pub struct Reader {
    #[allow(dead_code)]
    limits: Limits,
}

impl Reader {
    /// A reader at the start of an archive.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The next bytes of the archive.
    pub fn feed<E: From<Error>>(
        &mut self,
        _bytes: &[u8],
        _sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        Ok(())
    }

    /// The archive has ended.
    pub fn finish<E: From<Error>>(
        &mut self,
        _sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        Ok(())
    }
}
