//! Layers as others' tests have them: what unpacking gives, what a reader must refuse.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fastlayer_store::index::Kind;
use fastlayer_store::tree::{Node, TreeView};
use fastlayer_store::{DiffId, Error};
use fixture::Fixture;
use serde_json::Value;

/// Layers that contradict themselves and are kept raw, with the reason; `docs/formats/tar.md` says
/// why. Whoever wrote the scenario mends them: a directory is called as a deletion is, a file in the
/// way of a directory becomes one (twice).
const REFUSED: [(&str, &str); 3] = [
    ("apply-027", "lies below a whiteout"),
    ("apply-066", "its parent is not a directory"),
    ("apply-091", "its parent is not a directory"),
];
/// What a name or hard link with `..` is refused with, wherever it leads.
const UPWARDS: &str = "leads upwards with ..";
/// The scenarios delete what the same layer wrote before. The image specification has whiteouts
/// speak of lower layers only, wherever they stand: what is said to be deleted must be there.
const ORDER_OF_WHITEOUTS: [&str; 2] = ["apply-089", "apply-093"];

fn scenarios() -> Option<Value> {
    let corpus = std::env::var_os("FASTLAYER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let path = corpus.join("tars/layer-scenarios.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs {}",
            path.display()
        );
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A ustar member just as it is said to be, odd names included.
fn member(tar: &mut Vec<u8>, entry: &Value, prefix: &str) {
    let name = format!("{prefix}{}", text(entry, "name"));
    let content: Vec<u8> = text(entry, "content").chars().map(|c| c as u8).collect();
    let attributes = entry.get("xattrs").and_then(Value::as_object);
    let mut records = Vec::new();
    for (key, value) in attributes.into_iter().flatten() {
        let record = format!(" SCHILY.xattr.{key}={}\n", value.as_str().unwrap());
        // With the two digits of its own length.
        assert!((10..98).contains(&record.len()));
        records.extend_from_slice(format!("{}{record}", record.len() + 2).as_bytes());
    }
    if !records.is_empty() {
        block(
            tar,
            &serde_json::json!({"type": "pax"}),
            "PaxHeader",
            &records,
        );
    }
    block(tar, entry, &name, &content);
}

/// A header block and what follows it.
fn block(tar: &mut Vec<u8>, entry: &Value, name: &str, content: &[u8]) {
    let kind = text(entry, "type");
    let mut block = vec![0; 512];
    let mut put =
        |offset: usize, text: &[u8]| block[offset..offset + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    let mode = if kind == "dir" { "0755" } else { "0644" };
    let mode = entry.get("mode").and_then(Value::as_str).unwrap_or(mode);
    put(100, format!("{mode:0>7}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", content.len()).as_bytes());
    put(136, b"07346545000");
    put(148, b"        ");
    put(
        156,
        match kind {
            "dir" => b"5",
            "symlink" => b"2",
            "hardlink" => b"1",
            "fifo" => b"6",
            "pax" => b"x",
            _ => b"0",
        },
    );
    put(157, text(entry, "target").as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// The layer of these members, or why it has no tree.
fn layer(fixture: &Fixture, entries: &[Value], prefix: &str) -> Result<DiffId, String> {
    let mut tar = Vec::new();
    for entry in entries {
        member(&mut tar, entry, prefix);
    }
    tar.resize(tar.len() + 1024, 0);
    let ingested = fixture
        .store
        .ingest(&tar[..], Default::default(), &mut |_| {});
    let info = ingested.map_err(|error| error.to_string())?;
    match info.raw_reason {
        Some(reason) => Err(reason),
        None => Ok(info.diff_id),
    }
}

/// Whether a member's own name, or its target as a hard link, has `..`.
fn leads_upwards(entries: &[Value]) -> bool {
    let up = |path: &str| path.split('/').any(|name| name == "..");
    entries.iter().any(|entry| {
        up(text(entry, "name")) || text(entry, "type") == "hardlink" && up(text(entry, "target"))
    })
}

fn node<'a>(view: &'a TreeView, path: &str, follow: bool) -> Option<Node<'a>> {
    view.resolve(path.as_bytes(), follow).unwrap().node
}

/// Compares what a scenario expects with the tree.
fn check(fixture: &Fixture, chain: &[DiffId], view: &TreeView, expected: &Value, id: &str) {
    let path = text(expected, "path");
    let paths = [text(expected, "a"), text(expected, "b")];
    let what = format!("{id}: {expected}");
    let top = || {
        view.layers()
            .last()
            .unwrap()
            .index
            .get(path.as_bytes())
            .unwrap()
    };
    match text(expected, "check") {
        "content" => {
            let mut content = Vec::new();
            fixture
                .store
                .read_file(chain, path.as_bytes(), None, &mut content)
                .unwrap();
            let wanted: Vec<u8> = text(expected, "content").chars().map(|c| c as u8).collect();
            assert_eq!(content, wanted, "{what}");
        }
        "absent" | "overlay_whiteout" if ORDER_OF_WHITEOUTS.contains(&id) => {
            let kept = node(view, path, false).expect(&what);
            assert_eq!(kept.kind(), Kind::File, "{what}");
        }
        "absent" => assert!(node(view, path, false).is_none(), "{what}"),
        "dir" => assert_eq!(
            node(view, path, false).unwrap().kind(),
            Kind::Directory,
            "{what}"
        ),
        "file" => assert_eq!(
            node(view, path, false).unwrap().kind(),
            Kind::File,
            "{what}"
        ),
        "same_inode" | "same_symlink" => {
            let follow =
                text(expected, "check") == "same_inode" && text(expected, "note") != "lstat";
            let [a, b] = paths.map(|path| node(view, path, follow).expect(&what).inode());
            assert_eq!(a, b, "{what}");
        }
        "different_inode" => {
            let [a, b] = paths.map(|path| node(view, path, false).expect(&what).inode());
            assert_ne!(a, b, "{what}");
        }
        "overlay_opaque" => assert!(top().expect(&what).opaque(), "{what}"),
        "overlay_whiteout" => assert_eq!(top().expect(&what).kind(), Kind::Whiteout, "{what}"),
        "owner_kept" => assert_eq!(node(view, path, false).unwrap().uid(), 0, "{what}"),
        "error" => panic!("{what}: was not refused"),
        "xattr" => {
            let attributes = node(view, path, false).unwrap().xattrs().unwrap();
            let found = attributes.get(text(expected, "name").as_bytes());
            assert_eq!(found.unwrap(), text(expected, "value").as_bytes(), "{what}");
        }
        // Of the tree's own directory, as the layers below have it.
        "unchanged_times" => {
            let below = fixture.store.tree_view(&chain[..chain.len() - 1]).unwrap();
            let time = |view| node(view, path, false).map(|node| node.mtime());
            assert_eq!(time(view), time(&below), "{what}");
        }
        // Nothing outside the root was touched: there is no outside in an index. The checkouts of
        // the same layers are looked at in tests/conformance/hostile.
        "victim_untouched" | "host_mode" | "host_content" | "host_absent" | "host_parent_only" => {}
        other => panic!("{id}: unknown check {other}"),
    }
}

#[test]
fn layers_unpack_as_their_authors_expect() {
    let Some(all) = scenarios() else { return };
    let (mut checked, mut refused) = (0, 0);
    for scenario in list(&all, "apply") {
        let id = text(scenario, "id");
        if scenario.get("layer").is_none() {
            continue;
        }
        let entries = list(scenario, "layer");
        let fixture = Fixture::new();
        let mut chain = Vec::new();
        if !list(scenario, "pre").is_empty() {
            chain.push(layer(&fixture, list(scenario, "pre"), "").unwrap());
        }
        let expected = list(scenario, "expect");
        let refusal = expected.iter().any(|check| text(check, "check") == "error");
        match layer(&fixture, entries, "") {
            Err(reason) => {
                let documented = REFUSED.iter().find(|(refused, _)| *refused == id);
                let because = match documented {
                    Some((_, because)) => because,
                    None if leads_upwards(entries) => UPWARDS,
                    None if refusal => "",
                    None => panic!("{id}: refused: {reason}"),
                };
                assert!(reason.contains(because), "{id}: {reason}");
                refused += usize::from(documented.is_some());
            }
            Ok(diff_id) => {
                assert!(!leads_upwards(entries), "{id}: {UPWARDS}");
                chain.push(diff_id);
                let view = fixture.store.tree_view(&chain).unwrap();
                for expected in expected {
                    check(&fixture, &chain, &view, expected, id);
                }
                lay_out(&fixture, &chain, id);
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} scenarios were checked");
    assert_eq!(refused, REFUSED.len());
}

/// Any chain can be laid out, or says why not; nothing of it lands elsewhere.
fn lay_out(fixture: &Fixture, chain: &[DiffId], id: &str) {
    match fixture.store.checkout(chain, &AtomicBool::new(false)) {
        Ok(lowers) => {
            let root = fixture.directory.path();
            assert!(
                lowers
                    .directories
                    .iter()
                    .all(|lower| lower.starts_with(root)),
                "{id}"
            );
        }
        Err(Error::UnsafePath { .. }) => {}
        Err(error) => panic!("{id}: {error}"),
    }
}

#[test]
fn whiteouts_of_whole_stacks_of_layers() {
    let Some(all) = scenarios() else { return };
    let stacks: Vec<&Value> = list(&all, "apply")
        .iter()
        .filter(|scenario| scenario.get("layers_in_order").is_some())
        .collect();
    assert!(!stacks.is_empty());
    for scenario in stacks {
        let fixture = Fixture::new();
        let mut chain = Vec::new();
        for step in list(scenario, "layers_in_order") {
            let entries: Vec<Value> = list(step, "layer")
                .iter()
                .map(|name| {
                    let name = name.as_str().unwrap();
                    let kind = if name.ends_with('/') { "dir" } else { "file" };
                    serde_json::json!({"name": name, "type": kind})
                })
                .collect();
            chain.push(layer(&fixture, &entries, "").unwrap());
            let view = fixture.store.tree_view(&chain).unwrap();
            let mut found: Vec<String> = view
                .walk()
                .unwrap()
                .map(|visit| visit.unwrap().node)
                .filter(|node| !node.path().is_empty())
                .map(|node| {
                    let slash = if node.kind() == Kind::Directory {
                        "/"
                    } else {
                        ""
                    };
                    format!("{}{slash}", String::from_utf8_lossy(node.path()))
                })
                .collect();
            let mut expected: Vec<&str> = list(step, "tree_after")
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn opaque_markers_spare_their_own_layer() {
    let Some(all) = scenarios() else { return };
    let mut checked = 0;
    for scenario in list(&all, "apply") {
        let Some(survives) = scenario.get("survives").and_then(Value::as_object) else {
            continue;
        };
        let id = text(scenario, "id");
        let prefix = format!("{}/", text(scenario, "under"));
        let fixture = Fixture::new();
        let chain =
            ["lower", "upper"].map(|part| layer(&fixture, list(scenario, part), &prefix).unwrap());
        let view = fixture.store.tree_view(&chain).unwrap();
        for (path, survives) in survives {
            let found = node(&view, &format!("{prefix}{path}"), false).is_some();
            assert_eq!(Some(found), survives.as_bool(), "{id}: {path}");
        }
        lay_out(&fixture, &chain, id);
        checked += 1;
    }
    assert!(checked >= 9, "only {checked} scenarios were checked");
}
