//! What is known of a layer without reading it.

use crate::digest::DiffId;

/// Facts of one stored layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// SHA-256 of the plain tar.
    pub diff_id: DiffId,
    /// Bytes of the plain tar.
    pub size: u64,
    /// Sum of the sizes of all regular files, holes included, in bytes; 0 of a raw layer.
    pub content_size: u64,
    /// Members of the tar; of a raw layer, those before the place where it was refused.
    pub entries: u64,
    /// Why the tar could not be understood, where the layer is kept raw.
    pub raw_reason: Option<String>,
    /// Bytes that storing it added to the store; read back, what storing it added at first.
    pub added_bytes: u64,
}
