//! Tests of the tar reader and writer as others use them: tables, properties, real archives, and
//! GNU tar as the second opinion.

mod archive;
mod corpus;
mod gnu_tar;
mod golden;
mod limits;
mod properties;
mod reading;
mod requirements;
