//! Drives [`fastlayer_properties::Decompression`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Decompression, Property};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<Decompression> = RefCell::new(Decompression::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
