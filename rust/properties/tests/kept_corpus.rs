//! Every property holds for what fuzzing has found worth keeping, and for mutations of it.
//!
//! The mutations are the same in every run: a test must not fail by luck. `make fuzz` looks further.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fastlayer_properties::PROPERTIES;

/// Mutations of each kept input.
const MUTATIONS: u64 = 4;
/// With `FASTLAYER_LONG`.
const LONG_MUTATIONS: u64 = 200;

fn check(name: &str) {
    let (_, make) = PROPERTIES
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut paths: Vec<_> = fs::read_dir(folder.join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus of {name}");
    let mutations = match std::env::var_os("FASTLAYER_LONG") {
        Some(_) => LONG_MUTATIONS,
        None => MUTATIONS,
    };
    let mut property = make();
    property.check(b"");
    for (number, path) in paths.iter().enumerate() {
        let kept = fs::read(path).unwrap();
        property.check(&kept);
        for turn in 0..mutations {
            let seed = number as u64 * LONG_MUTATIONS + turn;
            let mutant = mutated(&kept, seed);
            let checked = catch_unwind(AssertUnwindSafe(|| property.check(&mutant)));
            assert!(
                checked.is_ok(),
                "{name} fails for mutation {seed} of {}: {}",
                path.display(),
                mutant.escape_ascii()
            );
        }
    }
}

/// A few bytes changed, removed, repeated or moved.
fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap() % bound.max(1)
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let end = (at + below(64)).min(bytes.len());
        match below(5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, b'7', b'/', 0x7f, 0x80, 0xff][below(7)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let place = below(bytes.len());
                bytes.splice(place..place, piece);
            }
            _ => {
                let place = below(bytes.len());
                let count = end - at;
                let count = count.min(bytes.len() - place);
                bytes.copy_within(at..at + count, place);
            }
        }
    }
    bytes
}

#[test]
fn apply() {
    check("apply");
}

#[test]
fn decompression() {
    check("decompression");
}

#[test]
fn ignore_rules() {
    check("ignore_rules");
}

#[test]
fn recipe() {
    check("recipe");
}

#[test]
fn segment() {
    check("segment");
}

#[test]
fn stat_cache() {
    check("stat_cache");
}

#[test]
fn tar_peers() {
    check("tar_peers");
}

#[test]
fn tar_reader() {
    check("tar_reader");
}

#[test]
fn tar_rewrite() {
    check("tar_rewrite");
}

#[test]
fn tree_index() {
    check("tree_index");
}
