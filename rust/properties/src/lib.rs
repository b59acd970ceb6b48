//! What must hold for any bytes that reach a parser: the properties that fuzzing looks for
//! exceptions to.
//!
//! A [`Property`] is checked by a panic. `fuzz/` drives each with a coverage-guided fuzzer; the
//! tests of this crate drive it with the corpus that fuzzing left and with mutations of it, so both
//! run the same lines. Inputs that cannot be hit upon, such as checksums, are mended here first.
//!
//! Formats are written as `docs/formats/` has them and not by the code that reads them. This crate
//! is for tests: nothing depends on it.

#![forbid(unsafe_code)]

mod apply;
mod archive;
mod decompression;
mod ignore_model;
mod ignore_rules;
mod peer;
mod recipe;
mod scratch;
mod segment;
mod stat_cache;
mod stored_layer;
mod take;
mod tar_peers;
mod tar_reader;
mod tar_rewrite;
mod tree_index;

pub use apply::Apply;
pub use decompression::Decompression;
pub use ignore_rules::IgnoreRules;
pub use recipe::RecipeReader;
pub use segment::SegmentReader;
pub use stat_cache::StatCacheReader;
pub use tar_peers::TarPeers;
pub use tar_reader::TarReader;
pub use tar_rewrite::TarRewrite;
pub use tree_index::TreeIndexReader;

/// Something that holds for any bytes.
pub trait Property {
    /// Panics where it does not hold for `bytes`.
    fn check(&mut self, bytes: &[u8]);
}

/// Makes a property ready to be checked.
pub type Make = fn() -> Box<dyn Property>;

/// Every property by the name of its fuzz target and its corpus.
pub const PROPERTIES: [(&str, Make); 10] = [
    ("apply", || Box::new(Apply::new())),
    ("decompression", || Box::new(Decompression::new())),
    ("ignore_rules", || Box::new(IgnoreRules)),
    ("recipe", || Box::new(RecipeReader::new())),
    ("segment", || Box::new(SegmentReader::new())),
    ("stat_cache", || Box::new(StatCacheReader::new())),
    ("tar_peers", || Box::new(TarPeers::new())),
    ("tar_reader", || Box::new(TarReader)),
    ("tar_rewrite", || Box::new(TarRewrite)),
    ("tree_index", || Box::new(TreeIndexReader::new())),
];
