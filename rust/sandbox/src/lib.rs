//! A mount namespace inside a process that has other threads.
//!
//! A process that embeds an interpreter cannot enter namespaces as a whole. [`MountNamespace`]
//! keeps one thread that has entered one, and does there what must be done in it: mounting
//! overlays, starting programs. The kernel takes the mounts away with the last process or thread
//! in the namespace, so nothing is left behind however we end.
//!
//! This crate knows nothing of layers or stores: it is given directories. It waits for no child
//! and sends no signal; who starts a program reaps it.

pub mod error;
pub mod namespace;
pub mod overlay;
pub mod program;

mod legacy;

pub use error::{Error, Result};
pub use namespace::MountNamespace;
pub use overlay::{Overlay, Upper, forget_volatile};
pub use program::Program;
