//! Drives [`fastlayer_properties::SegmentReader`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Property, SegmentReader};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<SegmentReader> = RefCell::new(SegmentReader::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
