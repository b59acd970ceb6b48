//! Layers whose paths lead through symbolic links, of their own and of the layers below: merging them
//! gives what unpacking them one after the other gives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fixture::{Fixture, listing};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

type Path = Vec<String>;

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Directory,
    File(usize),
    Link(&'static str),
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Member {
    Directory,
    File,
    Link(&'static str),
    Whiteout,
    Opaque,
}

/// A tree, as it is unpacked into.
#[derive(Clone, Default)]
struct Tree {
    items: BTreeMap<Path, Item>,
    /// What the layer at hand has put there.
    own: BTreeSet<Path>,
    /// Links of lower layers that it went through.
    crossed: BTreeSet<Path>,
}

/// Why a layer is no case for this test.
#[derive(Debug, PartialEq)]
enum Odd {
    /// It leads through a file, or in circles: nobody unpacks it.
    Impossible,
    /// It deletes or replaces a link that it went through before, or has two things at one path by
    /// different names: the order of its members decides.
    Ordered,
}

impl Tree {
    /// Where a path leads, all links followed; what is not there is taken as it is.
    fn resolve(&mut self, path: &[String]) -> Result<Path, Odd> {
        let mut pending: VecDeque<String> = path.iter().cloned().collect();
        let mut here = Path::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                here.pop();
                continue;
            }
            here.push(name);
            match self.items.get(&here) {
                Some(Item::Link(target)) => {
                    links += 1;
                    if links > 40 {
                        return Err(Odd::Impossible);
                    }
                    if !self.own.contains(&here) {
                        self.crossed.insert(here.clone());
                    }
                    here.pop();
                    if target.starts_with('/') {
                        here.clear();
                    }
                    for part in target.split('/').filter(|part| !part.is_empty()).rev() {
                        pending.push_front(part.to_owned());
                    }
                }
                Some(Item::File(_)) => return Err(Odd::Impossible),
                _ => {}
            }
        }
        for length in 1..=here.len() {
            let parent = here[..length].to_vec();
            self.items.entry(parent.clone()).or_insert(Item::Directory);
            self.own.insert(parent);
        }
        Ok(here)
    }

    /// Removes what is at a path and below it, but what the layer itself has.
    fn hide(&mut self, path: &[String], itself: bool) -> Result<(), Odd> {
        let own = &self.own;
        self.items.retain(|known, _| {
            let is_below = known.starts_with(path) && (itself || known.len() > path.len());
            own.contains(known) || !is_below
        });
        let crossed = self
            .crossed
            .iter()
            .all(|link| self.items.contains_key(link));
        crossed.then_some(()).ok_or(Odd::Ordered)
    }

    fn remove(&mut self, path: &[String]) {
        self.items.retain(|known, _| !known.starts_with(path));
        self.own.retain(|known| !known.starts_with(path));
    }

    fn apply(&mut self, layer: &BTreeMap<Path, Member>, number: usize) -> Result<(), Odd> {
        self.own.clear();
        self.crossed.clear();
        for (name, member) in layer {
            let (last, parents) = name.split_last().unwrap();
            let mut path = self.resolve(parents)?;
            if *member == Member::Opaque {
                self.hide(&path, false)?;
                continue;
            }
            path.push(last.trim_start_matches(".wh.").to_owned());
            if self.crossed.contains(&path) {
                return Err(Odd::Ordered);
            }
            if *member == Member::Whiteout {
                self.hide(&path, true)?;
                continue;
            }
            let item = match member {
                Member::Link(target) => Item::Link(target),
                Member::File => Item::File(number),
                _ => Item::Directory,
            };
            if item != Item::Directory || self.items.get(&path) != Some(&Item::Directory) {
                if self.own.contains(&path) {
                    return Err(Odd::Ordered);
                }
                self.remove(&path);
            }
            self.items.insert(path.clone(), item);
            self.own.insert(path);
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let line = |(path, item): (&Path, &Item)| {
            let path = path.join("/");
            match item {
                Item::Directory => format!("d {path}"),
                Item::File(number) => format!("f {path} {number}"),
                Item::Link(target) => format!("l {path} {target}"),
            }
        };
        self.items.iter().map(line).collect()
    }
}

/// A layer in the order of its paths, as every tool writes them. No target has `..`: a layer's own
/// link below one of another layer is followed from the path that the layer calls it by.
fn layer() -> impl Strategy<Value = BTreeMap<Path, Member>> {
    let targets = prop::sample::select(vec!["a", "b", "/c", "/a/b", "b/c", "nowhere/c"]);
    let member = prop_oneof![
        2 => Just(Member::Directory),
        2 => Just(Member::File),
        3 => targets.prop_map(Member::Link),
        2 => Just(Member::Whiteout),
        1 => Just(Member::Opaque),
    ];
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    prop::collection::vec((path, member), 0..7).prop_map(|members| {
        members
            .into_iter()
            .map(|(path, member)| {
                let mut path: Path = path.into_iter().map(str::to_owned).collect();
                match member {
                    Member::Whiteout => path.last_mut().unwrap().insert_str(0, ".wh."),
                    Member::Opaque => path.push(".wh..wh..opq".to_owned()),
                    _ => {}
                }
                (path, member)
            })
            .collect()
    })
}

fn members(layer: &BTreeMap<Path, Member>, number: usize) -> Vec<String> {
    let line = |(path, member): (&Path, &Member)| {
        let path = path.join("/");
        match member {
            Member::Directory => format!("d {path}"),
            Member::File => format!("f {path} {number}"),
            Member::Link(target) => format!("l {path} {target}"),
            Member::Whiteout | Member::Opaque => format!("w {path}"),
        }
    };
    layer.iter().map(line).collect()
}

fn short(fixture: &Fixture, chain: &[fastlayer_store::DiffId]) -> Vec<String> {
    listing(&fixture.store, chain)
        .into_iter()
        .map(|(path, text)| (path.split('/').map(str::to_owned).collect::<Path>(), text))
        .collect::<BTreeMap<Path, String>>()
        .into_iter()
        .map(|(path, text)| {
            let mut words = text.splitn(4, ' ');
            let kind = words.next().unwrap();
            let rest = words.nth(2).unwrap_or("");
            format!("{kind} {} {rest}", path.join("/"))
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[test]
fn b2_a_layer_does_not_go_through_links_that_it_takes_away() {
    let lower = ["d c", "l c/b /d", "d d", "f d/x 1", "l e /c/b", "l g /d"];
    let kept = ["d d", "f d/x 1"];
    type Lines = &'static [&'static str];
    let table: [(Lines, Lines); 5] = [
        (
            &["w .wh.c", "f c/b/y 2"],
            &["d c", "d c/b", "f c/b/y 2", "l e /c/b", "l g /d"],
        ),
        (
            &["w c/.wh.b", "f e/y 2"],
            &["d c", "d c/b", "f c/b/y 2", "l e /c/b", "l g /d"],
        ),
        (
            &["d c", "w c/.wh..wh..opq", "f c/b/y 2"],
            &["d c", "d c/b", "f c/b/y 2", "l e /c/b", "l g /d"],
        ),
        // Beside one that it does go through.
        (
            &["w .wh.c", "f c/b/y 2", "f g/z 2"],
            &["d c", "d c/b", "f c/b/y 2", "f d/z 2", "l e /c/b", "l g /d"],
        ),
        (
            &["d e", "f e/y 2", "f g/z 2"],
            &["d c", "l c/b /d", "f d/z 2", "d e", "f e/y 2", "l g /d"],
        ),
    ];
    // Through one below to one of its own.
    let fixture = Fixture::new();
    let chain = [
        fixture.layer(&["l a b/c"]),
        fixture.layer(&["l b/c a", "l c a", "d c/a"]),
    ];
    let expected = ["l a b/c", "d b", "d b/a", "d b/a/a", "l b/c a", "l c a"];
    assert_eq!(short(&fixture, &chain), expected);
    for (upper, expected) in table {
        let fixture = Fixture::new();
        let chain = [fixture.layer(&lower), fixture.layer(upper)];
        let mut expected = [expected, &kept].concat();
        expected.sort_by_key(|line| line.split(' ').nth(1));
        assert_eq!(short(&fixture, &chain), expected, "{upper:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("FASTLAYER_LONG").is_some() { 20_000 } else { 150 },
        // The same ones in every run, but where there is time for more.
        rng_seed: if std::env::var_os("FASTLAYER_LONG").is_some() {
            RngSeed::Random
        } else {
            RngSeed::Fixed(1)
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn b2_merging_through_links_agrees_with_unpacking(
        layers in prop::collection::vec(layer(), 2..4),
    ) {
        let fixture = Fixture::new();
        let (mut tree, mut chain) = (Tree::default(), Vec::new());
        for (number, layer) in layers.iter().enumerate() {
            if tree.apply(layer, number).is_err() {
                break;
            }
            let lines = members(layer, number);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            chain.push(fixture.layer(&lines));
            prop_assert_eq!(short(&fixture, &chain), tree.lines(), "{:?}", layers);
        }
    }
}
