//! Merged trees: every whiteout rule, links, hard links, and a naive model to agree with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::BTreeMap;

use fastlayer_store::compare::{ChangeKind, compare};
use fastlayer_store::{DiffId, Error, LayerWriter, WriterOptions};
use fixture::{Fixture, listing};
use proptest::prelude::*;

/// Paths with their types and contents; modes and owners left out.
#[track_caller]
fn check(layers: &[&[&str]], expected: &[&str]) {
    let fixture = Fixture::new();
    let chain: Vec<DiffId> = layers.iter().map(|lines| fixture.layer(lines)).collect();
    assert_eq!(short(&fixture, &chain), expected);
}

fn short(fixture: &Fixture, chain: &[DiffId]) -> Vec<String> {
    listing(&fixture.store, chain)
        .into_iter()
        .map(|(path, text)| {
            let mut words = text.splitn(4, ' ');
            let kind = words.next().unwrap();
            let rest = words.nth(2).unwrap_or("");
            format!("{kind} {path} {rest}").trim_end().to_owned()
        })
        .collect()
}

const BASE: &[&str] = &[
    "d d",
    "f d/a 1",
    "d d/sub",
    "f d/sub/b 2",
    "f file 3",
    "l link d",
];

#[test]
fn c1_whiteouts_hide_lower_layers_only() {
    for top in [&["w .wh.file", "f file new"], &["f file new", "w .wh.file"]] {
        let rest = ["d d", "f d/a 1", "d d/sub", "f d/sub/b 2"];
        let expected: Vec<&str> = rest.into_iter().chain(["f file new", "l link d"]).collect();
        check(&[BASE, top], &expected);
    }
    check(&[BASE, &["w .wh.d"]], &["f file 3", "l link d"]);
    for top in [
        &["w d/.wh..wh..opq", "f d/n 4"],
        &["f d/n 4", "w d/.wh..wh..opq"],
    ] {
        check(&[BASE, top], &["d d", "f d/n 4", "f file 3", "l link d"]);
    }
}

#[test]
fn c2_a_directory_made_again_stays_apart_from_what_was() {
    let again: &[&str] = &["d d", "w d/.wh..wh..opq", "f d/n 4"];
    let third: &[&str] = &["d d", "f d/more 5"];
    check(
        &[BASE, again, third],
        &["d d", "f d/more 5", "f d/n 4", "f file 3", "l link d"],
    );
}

#[test]
fn c4_a_deleted_directory_with_new_children_is_opaque() {
    check(
        &[BASE, &["w .wh.d", "f d/n 4"]],
        &["d d", "f d/n 4", "f file 3", "l link d"],
    );
    check(
        &[BASE, &["f d/n 4", "w .wh.d"]],
        &["d d", "f d/n 4", "f file 3", "l link d"],
    );
}

#[test]
fn c5_a_type_that_changes_hides_what_was() {
    check(&[BASE, &["f d now"]], &["f d now", "f file 3", "l link d"]);
    check(
        &[BASE, &["f d now"], &["d d"]],
        &["d d", "f file 3", "l link d"],
    );
    let directory: &[&str] = &["d file", "f file/x 4"];
    check(&[&["f file 3"], directory], &["d file", "f file/x 4"]);
    check(
        &[&["d d", "l link d", "f d/a 1"], &["d link"]],
        &["d d", "f d/a 1", "d link"],
    );
}

#[test]
fn c6_an_opaque_directory_may_be_empty_and_has_its_own_mode() {
    let fixture = Fixture::new();
    let chain = [
        fixture.layer(BASE),
        fixture.layer(&["d700 d", "w d/.wh..wh..opq"]),
    ];
    let tree = listing(&fixture.store, &chain);
    assert_eq!(tree["d"], "d 700 0:0");
    assert!(!tree.contains_key("d/a"));
}

#[test]
fn a17_missing_parents_take_the_lower_attributes() {
    let fixture = Fixture::new();
    let base = fixture.layer(&["d711:5:6 d", "f d/a 1"]);
    let top = fixture.layer(&["f d/n 2", "f new/x 3"]);
    let tree = listing(&fixture.store, &[base, top]);
    assert_eq!(
        (tree["d"].as_str(), tree["new"].as_str()),
        ("d 711 5:6", "d 755 0:0")
    );
    let replaced = fixture.layer(&["w .wh.d", "f d/n 2"]);
    assert_eq!(listing(&fixture.store, &[base, replaced])["d"], "d 755 0:0");
}

#[test]
fn b2_paths_through_lower_links_go_where_the_links_go() {
    let base: &[&str] = &["d etc", "f etc/gone 1", "l alias /etc", "l loop loop"];
    check(
        &[base, &["f alias/n 2", "w alias/.wh.gone"]],
        &["l alias /etc", "d etc", "f etc/n 2", "l loop loop"],
    );
    // A directory of its own replaces the link.
    check(
        &[base, &["d alias", "f alias/n 2"]],
        &[
            "d alias",
            "f alias/n 2",
            "d etc",
            "f etc/gone 1",
            "l loop loop",
        ],
    );
}

#[test]
fn b4_hard_links_reach_into_lower_layers_and_not_outside() {
    let base: &[&str] = &["d a", "f a/f 1", "f other 2"];
    check(
        &[base, &["h link a/f"]],
        &["d a", "f a/f 1", "f link = a/f", "f other 2"],
    );
    check(
        &[base, &["h link a/f", "w a/.wh.f"]],
        &["d a", "f link 1", "f other 2"],
    );
    let fixture = Fixture::new();
    let chain = [fixture.layer(base), fixture.layer(&["h link missing"])];
    let view = fixture.store.tree_view(&chain).unwrap();
    let error = view.get(b"link").unwrap_err();
    assert!(matches!(error, Error::UnsafePath { .. }), "{error}");
}

#[test]
fn links_resolve_inside_the_tree() {
    let fixture = Fixture::new();
    let chain = [fixture.layer(&[
        "d a",
        "d a/b",
        "f a/b/f 1",
        "l a/up ../../../../a/b",
        "l abs /a/up/f",
        "l loop1 loop2",
        "l loop2 loop1",
        "l dangling nowhere/x",
    ])];
    let view = fixture.store.tree_view(&chain).unwrap();
    let resolved = |path: &str, follow| {
        let found = view.resolve(path.as_bytes(), follow).unwrap();
        (String::from_utf8(found.path).unwrap(), found.node.is_some())
    };
    assert_eq!(resolved("/abs", true), ("a/b/f".into(), true));
    assert_eq!(resolved("abs", false), ("abs".into(), true));
    assert_eq!(resolved("a/up/../b/./f", true), ("a/b/f".into(), true));
    assert_eq!(resolved("dangling", true), ("nowhere/x".into(), false));
    assert_eq!(resolved("../../a/up/new", true), ("a/b/new".into(), false));
    assert_eq!(resolved("/", true), (String::new(), true));
    assert!(view.resolve(b"loop1/x", true).is_err());
}

/// A step that leaves nothing of its base has the tree that a build from scratch begins with.
#[test]
fn the_tree_of_nothing_is_an_empty_root() {
    let fixture = Fixture::new();
    let writer = LayerWriter::new(&fixture.store, WriterOptions::default()).unwrap();
    let empty = writer.finish_canonical().unwrap();
    assert_eq!(
        fixture.store.tree_id(&[]).unwrap(),
        fixture.store.tree_id(&[empty.diff_id]).unwrap()
    );
}

#[test]
fn the_tree_id_covers_all_but_times_and_layering() {
    let fixture = Fixture::new();
    let id = |layers: &[&[&str]]| {
        let chain: Vec<DiffId> = layers.iter().map(|lines| fixture.layer(lines)).collect();
        fixture.store.tree_id(&chain).unwrap()
    };
    let base = id(&[&["d d", "f d/a 1", "f d/b 1"]]);
    assert_eq!(id(&[&["d d", "f d/a 0"], &["f d/b 1", "f d/a 1"]]), base);
    assert_eq!(
        id(&[&["d d", "f d/a 1", "f d/b 1", "f x 1"], &["w .wh.x"]]),
        base
    );
    for other in [
        &["d d", "f d/a 1", "f d/b 2"][..],
        &["d d", "f d/a 1", "f d/c 1"],
        &["d700 d", "f d/a 1", "f d/b 1"],
        &["d d", "f600 d/a 1", "f d/b 1"],
        &["d d", "f644:1:0 d/a 1", "f d/b 1"],
        &["d d", "f d/a 1", "h d/b d/a"],
        &["d d", "f d/a 1", "l d/b a"],
        &["d d", "f d/a 1", "f d/b 1", "d e"],
    ] {
        assert_ne!(id(&[other]), base, "{other:?}");
    }
}

#[test]
fn differences_have_their_reasons() {
    let fixture = Fixture::new();
    let before = fixture.layer(&["d d", "f d/a 1", "f d/b 2", "d gone", "f gone/x 3", "l l a"]);
    let after = fixture.layer(&[
        "d d",
        "f600 d/a 1",
        "f d/b 9",
        "f644:1:1 new 1",
        "d dir",
        "f dir/y 2",
        "l l b",
    ]);
    let view = |layer| fixture.store.tree_view(&[layer]).unwrap();
    let lines: Vec<String> = compare(&view(before), &view(after))
        .unwrap()
        .into_iter()
        .map(|change| {
            let letter = match change.kind {
                ChangeKind::Added => "A",
                ChangeKind::Changed => "C",
                ChangeKind::Deleted => "D",
            };
            let reasons: Vec<&str> = change
                .reasons
                .iter()
                .map(|reason| reason.as_str())
                .collect();
            let path = String::from_utf8(change.path).unwrap();
            format!("{letter} {path} {}", reasons.join(","))
                .trim_end()
                .to_owned()
        })
        .collect();
    let expected = [
        "C d/a mode",
        "C d/b content",
        "A dir",
        "A dir/y",
        "D gone",
        "C l link",
        "A new",
    ];
    assert_eq!(lines, expected);
}

/// A line of a random layer: its kind and its path.
fn line() -> impl Strategy<Value = (char, Vec<&'static str>)> {
    let kind = prop::sample::select(vec!['d', 'f', 'w', 'o', 'd', 'f']);
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    (kind, path)
}

type Model = BTreeMap<Vec<&'static str>, String>;

fn remove(model: &mut Model, path: &[&str], keep_itself: bool) {
    model.retain(|known, _| !known.starts_with(path) || keep_itself && known.len() == path.len());
}

/// What unpacking one layer after the other gives; `None` where a layer contradicts itself.
fn apply(model: &mut Model, layer: &[(char, Vec<&'static str>)], number: usize) -> Option<()> {
    for (kind, path) in layer {
        match kind {
            'w' => remove(model, path, false),
            'o' => remove(model, path, true),
            _ => {}
        }
    }
    let mut own: Model = BTreeMap::new();
    for (kind, path) in layer {
        for length in 1..path.len() {
            match own.get(&path[..length]) {
                Some(text) if text.starts_with('f') => return None,
                Some(_) => {}
                None => {
                    own.insert(path[..length].to_vec(), "implicit".to_owned());
                }
            }
        }
        match kind {
            'd' => {
                let before = own.insert(path.clone(), "d".to_owned());
                // The file that was there had replaced whatever is below.
                if before.is_some_and(|before| before.starts_with('f')) {
                    remove(model, path, false);
                }
            }
            'f' => {
                remove(&mut own, path, false);
                own.insert(path.clone(), format!("f {number}"));
            }
            'o' if own.get(path).is_some_and(|text| text.starts_with('f')) => return None,
            'o' => drop(
                own.entry(path.clone())
                    .or_insert_with(|| "implicit".to_owned()),
            ),
            _ => {}
        }
    }
    for (path, text) in own {
        let is_directory = !text.starts_with('f');
        if !is_directory || model.get(&path).is_some_and(|below| below.starts_with('f')) {
            remove(model, &path, false);
        }
        model.insert(path, if is_directory { "d".to_owned() } else { text });
    }
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn merging_agrees_with_unpacking_one_after_the_other(
        layers in prop::collection::vec(prop::collection::vec(line(), 0..8), 1..4),
    ) {
        let fixture = Fixture::new();
        let mut model = Model::new();
        let mut chain = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            if apply(&mut model, layer, number).is_none() {
                return Ok(());
            }
            let lines: Vec<String> = layer.iter().map(|(kind, path)| {
                let (name, parents) = path.split_last().unwrap();
                let parents: String = parents.iter().map(|parent| format!("{parent}/")).collect();
                match kind {
                    'w' => format!("w {parents}.wh.{name}"),
                    'o' => format!("w {parents}{name}/.wh..wh..opq"),
                    'f' => format!("f {parents}{name} {number}"),
                    _ => format!("d {parents}{name}"),
                }
            }).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            chain.push(fixture.layer(&lines));
        }
        let expected: Vec<String> = model.iter().map(|(path, text)| {
            let (kind, content) = text.split_once(' ').unwrap_or((text, ""));
            format!("{kind} {} {content}", path.join("/")).trim_end().to_owned()
        }).collect();
        prop_assert_eq!(short(&fixture, &chain), expected);
    }
}
