//! Several layers as one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::sync::atomic::AtomicBool;

use fastlayer_store::compare::compare;
use fastlayer_store::{DiffId, WriterOptions};
use fixture::Fixture;

fn squash(fixture: &Fixture, base: &[DiffId], chain: &[DiffId]) -> DiffId {
    let info = fixture
        .store
        .squash(base, chain, &WriterOptions::default())
        .unwrap();
    info.diff_id
}

fn paths(fixture: &Fixture, diff_id: &DiffId) -> Vec<String> {
    let index = fixture.store.tree_index(diff_id).unwrap();
    let rows = index.iter().skip(1);
    rows.map(|row| String::from_utf8(row.unwrap().path().unwrap()).unwrap())
        .collect()
}

fn same_tree(fixture: &Fixture, left: &[DiffId], right: &[DiffId]) {
    let views = [left, right].map(|chain| fixture.store.tree_view(chain).unwrap());
    assert_eq!(compare(&views[0], &views[1]).unwrap(), []);
}

#[test]
fn the_tree_is_the_same_and_what_came_and_went_is_not_there() {
    let fixture = Fixture::new();
    let base = fixture.layer(&[
        "d bin",
        "f bin/a a",
        "f bin/b b",
        "d etc",
        "f etc/kept kept",
        "d gone",
        "f gone/x x",
        "d replaced",
        "f replaced/x x",
        "f turned file",
    ]);
    let first = fixture.layer(&["d bin", "f bin/c c", "d tmp", "f tmp/secret secret"]);
    let second = fixture.layer(&[
        "w .wh.gone",
        "w .wh.tmp",
        "d bin",
        "w bin/.wh.a",
        "f bin/b changed",
        "f replaced now",
        "d turned",
        "f turned/x x",
    ]);
    let chain = [base, first, second];
    let squashed = squash(&fixture, &[base], &chain);
    same_tree(&fixture, &chain, &[base, squashed]);
    assert_eq!(
        paths(&fixture, &squashed),
        [
            "bin", "bin/a", "bin/b", "bin/c", "gone", "replaced", "turned", "turned/x"
        ]
    );
    assert_eq!(squash(&fixture, &[base], &chain), squashed);
    let problems = fixture.store.fsck(&AtomicBool::new(false), &mut |_| ());
    assert_eq!(problems.unwrap(), []);
}

#[test]
fn every_name_of_a_file_comes_along() {
    let fixture = Fixture::new();
    let base = fixture.layer(&["d d", "f d/one content", "f d/other other"]);
    let own = fixture.layer(&["d d", "f d/one content", "h d/two d/one"]);
    let squashed = squash(&fixture, &[base], &[base, own]);
    same_tree(&fixture, &[base, own], &[base, squashed]);
    assert_eq!(paths(&fixture, &squashed), ["d", "d/one", "d/two"]);
}

#[test]
fn nothing_changed_is_the_empty_layer_and_no_base_is_everything() {
    let fixture = Fixture::new();
    let base = fixture.layer(&["d a", "f a/b c"]);
    let empty = fixture.layer(&[]);
    assert_eq!(squash(&fixture, &[base], &[base, empty]), empty);
    assert_eq!(squash(&fixture, &[], &[base, empty]), base);
}
