//! Drives [`fastlayer_properties::TarRewrite`].
#![no_main]

use fastlayer_properties::{Property, TarRewrite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| TarRewrite.check(bytes));
