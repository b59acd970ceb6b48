//! Drives [`fastlayer_properties::StatCacheReader`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Property, StatCacheReader};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<StatCacheReader> = RefCell::new(StatCacheReader::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
