//! Tests of the tar reader and writer as others use them: tables, properties, real archives, and
//! GNU tar as the second opinion.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod archive;
mod blocks;
mod corpus;
mod gnu_tar;
mod golden;
mod limits;
mod properties;
mod reading;
mod requirements;
