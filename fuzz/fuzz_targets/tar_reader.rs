//! Drives [`fastlayer_properties::TarReader`].
#![no_main]

use fastlayer_properties::{Property, TarReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| TarReader.check(bytes));
