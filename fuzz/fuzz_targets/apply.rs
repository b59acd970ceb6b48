//! Drives [`fastlayer_properties::Apply`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Apply, Property};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<Apply> = RefCell::new(Apply::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
