//! A mount namespace inside a process that has other threads.
//!
//! A process that embeds an interpreter cannot enter namespaces as a whole. [`MountNamespace`]
//! keeps one thread that has entered one, and does there what must be done in it: mounting
//! overlays, starting programs. The kernel takes the mounts away with the last process or thread
//! in the namespace, so nothing is left behind however we end.
//!
//! Processes in namespaces are started by a child with one thread, which [`serve`] turns into a
//! server of [`Task`]s: it forks, makes the namespaces, mounts and becomes the program.
//!
//! This crate knows nothing of layers or stores: it is given directories. Who starts a program in
//! a [`MountNamespace`] reaps it; who starts a task hears of its end.

pub mod error;
pub mod failure;
pub mod message;
pub mod namespace;
pub mod namespaces;
pub mod overlay;
pub mod program;
pub mod server;
pub mod supervisor;
pub mod task;
pub mod trial;

mod kernel;
mod legacy;
mod orphans;
mod root;
mod start;
mod terminal;

pub use error::{Error, Result};
pub use failure::Failure;
pub use namespace::MountNamespace;
pub use overlay::{Overlay, Upper, forget_volatile};
pub use program::Program;
pub use server::serve;
pub use task::Task;
pub use trial::read_through;
