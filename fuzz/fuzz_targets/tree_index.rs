//! Drives [`fastlayer_properties::TreeIndexReader`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Property, TreeIndexReader};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<TreeIndexReader> = RefCell::new(TreeIndexReader::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
