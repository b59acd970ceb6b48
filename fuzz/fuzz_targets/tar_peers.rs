//! Drives [`fastlayer_properties::TarPeers`].
#![no_main]

use std::cell::RefCell;

use fastlayer_properties::{Property, TarPeers};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PROPERTY: RefCell<TarPeers> = RefCell::new(TarPeers::new());
}

fuzz_target!(|bytes: &[u8]| PROPERTY.with_borrow_mut(|property| property.check(bytes)));
