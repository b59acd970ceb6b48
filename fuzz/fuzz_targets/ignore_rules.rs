//! Drives [`fastlayer_properties::IgnoreRules`].
#![no_main]

use fastlayer_properties::{IgnoreRules, Property};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| IgnoreRules.check(bytes));
