//! Drives [`fastlayer_properties::RecipeReader`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Property, RecipeReader};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<RecipeReader> = RefCell::new(RecipeReader::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
