//! Diffs of uppers that no kernel made: for any two trees, the layer of the upper that leads from
//! one to the other gives the other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::{Directory, Kind};
use fastlayer_store::DiffId;
use fastlayer_store::overlay::OverlayNamespace;
use fixture::{Fixture, listing, options};
use proptest::prelude::*;

/// What a path of a random tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    Directory(u32),
    File(u32, usize),
    Link(u8),
}

type Tree = BTreeMap<Vec<&'static str>, Thing>;

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        3 => prop::sample::select(vec![0o755, 0o700]).prop_map(Thing::Directory),
        3 => (prop::sample::select(vec![0o644, 0o600]), prop::sample::select(vec![0, 1, 5000, 5001]))
            .prop_map(|(mode, size)| Thing::File(mode, size)),
        1 => (0..3_u8).prop_map(Thing::Link),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    prop::collection::vec((path, thing()), 0..10).prop_map(|all| {
        let mut tree = Tree::new();
        for (path, thing) in all {
            for length in 1..path.len() {
                let parent = tree.entry(path[..length].to_vec());
                let parent = parent.or_insert(Thing::Directory(0o755));
                if !matches!(parent, Thing::Directory(_)) {
                    *parent = Thing::Directory(0o755);
                }
            }
            if !matches!(thing, Thing::Directory(_)) {
                tree.retain(|known, _| !(known.len() > path.len() && known.starts_with(&path)));
            }
            tree.insert(path, thing);
        }
        tree
    })
}

fn layer_of(fixture: &Fixture, tree: &Tree) -> DiffId {
    let lines: Vec<String> = tree
        .iter()
        .map(|(path, thing)| {
            let path = path.join("/");
            match thing {
                Thing::Directory(mode) => format!("d{mode:o} {path}"),
                Thing::File(mode, size) => format!("f{mode:o} {path} {}", content(*size)),
                Thing::Link(number) => format!("l {path} target{number}"),
            }
        })
        .collect();
    fixture.layer(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn content(size: usize) -> String {
    "x".repeat(size)
}

/// Makes the upper that a mount would have once `before` has become `after`. What `copied` says
/// is there although it did not change, as after opening a file for writing.
fn make_upper(upper: &Directory, before: &Tree, after: &Tree, copied: bool) {
    let root = upper.path().to_owned();
    let mut opaque: Vec<Vec<&str>> = Vec::new();
    for (path, thing) in after {
        let old = before
            .get(path)
            .filter(|_| !opaque.iter().any(|top| path.starts_with(top)));
        let place = root.join(path.join("/"));
        match thing {
            Thing::Directory(mode) => {
                std::fs::create_dir(&place).unwrap();
                std::fs::set_permissions(&place, PermissionsExt::from_mode(*mode)).unwrap();
                // The kernel marks new directories, whether anything is below or not.
                if !matches!(old, Some(Thing::Directory(_))) {
                    mark_opaque(&place);
                    opaque.push(path.clone());
                }
            }
            same if old == Some(same) && !copied => {}
            Thing::File(mode, size) => {
                std::fs::write(&place, content(*size)).unwrap();
                std::fs::set_permissions(&place, PermissionsExt::from_mode(*mode)).unwrap();
            }
            Thing::Link(number) => {
                std::os::unix::fs::symlink(format!("target{number}"), &place).unwrap();
            }
        }
        set_time(&place);
    }
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        let (name, parent) = path.split_last().unwrap();
        let hidden = opaque.iter().any(|top| path.starts_with(top));
        let place = root.join(parent.join("/"));
        if !hidden && place.is_dir() {
            let directory = Directory::open(&place).unwrap();
            directory
                .mknod_at(name.as_bytes(), Kind::CharDevice, 0, (0, 0))
                .unwrap();
        }
    }
    for path in after.keys() {
        set_time(&root.join(path.join("/")));
    }
}

fn mark_opaque(place: &Path) {
    let name = OverlayNamespace::of_process().name(b"opaque");
    fastlayer_fs::xattr::set(Directory::open(place).unwrap(), &name, b"y").unwrap();
}

/// All times are those of the layers, so that only what differs counts.
fn set_time(place: &Path) {
    if place.is_symlink() {
        let mut touch = std::process::Command::new("touch");
        let status = touch.args(["-h", "-d", "@1000000000"]).arg(place).status();
        assert!(status.unwrap().success());
    } else if let Ok(file) = std::fs::File::open(place) {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.set_modified(time).unwrap();
    }
}

fn overlay_marks_work() -> bool {
    let probe = tempfile::tempdir().unwrap();
    let name = OverlayNamespace::of_process().name(b"opaque");
    let directory = Directory::open(probe.path()).unwrap();
    let works = fastlayer_fs::xattr::set(&directory, &name, b"y").is_ok();
    if !works {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must be able to set overlay's marks"
        );
        eprintln!("skipped: overlay's marks cannot be set here");
    }
    works
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn the_layer_of_an_upper_gives_the_tree_it_leads_to(
        before in tree(),
        after in tree(),
        copied in any::<bool>(),
        adopt in any::<bool>(),
    ) {
        if !overlay_marks_work() {
            return Ok(());
        }
        let fixture = Fixture::new();
        let base = layer_of(&fixture, &before);
        let upper = fixture.path("upper");
        std::fs::create_dir(&upper).unwrap();
        make_upper(&Directory::open(&upper).unwrap(), &before, &after, copied);
        let info = fixture.store.diff_upper(&[base], &upper, adopt, &options()).unwrap();
        prop_assert_eq!(info.raw_reason, None);
        let expected = listing(&fixture.store, &[layer_of(&fixture, &after)]);
        prop_assert_eq!(listing(&fixture.store, &[base, info.diff_id]), expected);
        prop_assert_eq!(
            fixture.store.tree_id(&[base, info.diff_id]).unwrap(),
            fixture.store.tree_id(&[layer_of(&fixture, &after)]).unwrap()
        );
        if before == after {
            prop_assert_eq!(info.entries, 0);
        }
        if adopt {
            check_checkout(&fixture, base, info.diff_id);
        }
    }
}

/// An adopted checkout is what laying the layer out gives.
fn check_checkout(fixture: &Fixture, base: DiffId, layer: DiffId) {
    let cancel = AtomicBool::new(false);
    let adopted = fixture.store.checkout(&[base, layer], &cancel).unwrap();
    let other = Fixture::new();
    for diff_id in [base, layer] {
        let mut tar = Vec::new();
        fixture
            .store
            .write_tar(&diff_id, &mut tar, &cancel)
            .unwrap();
        other
            .store
            .ingest(&tar[..], Default::default(), &mut |_| {})
            .unwrap();
    }
    let fresh = other.store.checkout(&[base, layer], &cancel).unwrap();
    assert_eq!(adopted.directories.len(), fresh.directories.len());
    for (adopted, fresh) in adopted.directories.iter().zip(&fresh.directories) {
        assert_eq!(on_disk(adopted), on_disk(fresh));
    }
}

fn on_disk(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(place) = pending.pop() {
        let metadata = std::fs::symlink_metadata(&place).unwrap();
        if metadata.is_dir() {
            let children = std::fs::read_dir(&place).unwrap();
            pending.extend(children.map(|child| child.unwrap().path()));
        }
        let path = place.strip_prefix(root).unwrap().display().to_string();
        if path.is_empty() {
            continue;
        }
        let marks = if metadata.is_dir() {
            format!(
                "{:?}",
                fastlayer_fs::xattr::all(Directory::open(&place).unwrap()).unwrap()
            )
        } else {
            String::new()
        };
        let kind = metadata.file_type();
        let what = if kind.is_char_device() {
            "gone".to_owned()
        } else {
            format!("{kind:?}")
        };
        let mode = if kind.is_char_device() {
            0
        } else {
            metadata.permissions().mode()
        };
        let time = if kind.is_char_device() {
            None
        } else {
            Some(metadata.modified().unwrap())
        };
        found.insert(
            path,
            format!(
                "{what} {mode:o} {} {time:?} {marks}",
                file_length(&metadata)
            ),
        );
    }
    found
}

fn file_length(metadata: &std::fs::Metadata) -> u64 {
    if metadata.is_dir() { 0 } else { metadata.len() }
}

#[test]
fn deletions_as_marked_files_count_too() {
    if !overlay_marks_work() {
        return;
    }
    let fixture = Fixture::new();
    let base = fixture.layer(&["d d", "f d/a 1", "f d/b 2", "f empty "]);
    let upper = fixture.path("upper");
    std::fs::create_dir_all(upper.join("d")).unwrap();
    std::fs::write(upper.join("d/a"), "").unwrap();
    std::fs::write(upper.join("plain"), "").unwrap();
    let namespace = OverlayNamespace::of_process();
    let set = |path: &str, mark: &[u8], value: &[u8]| {
        let place = std::fs::File::open(upper.join(path)).unwrap();
        fastlayer_fs::xattr::set(&place, &namespace.name(mark), value).unwrap();
    };
    set("d/a", b"whiteout", b"");
    set("d", b"opaque", b"x");
    set("plain", b"origin", b"z");
    let info = fixture
        .store
        .diff_upper(&[base], &upper, false, &options())
        .unwrap();
    let tree = listing(&fixture.store, &[base, info.diff_id]);
    let paths: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(paths, ["d", "d/b", "empty", "plain"]);
    let view = fixture.store.tree_view(&[info.diff_id]).unwrap();
    assert!(
        view.walk()
            .unwrap()
            .all(|visit| !visit.unwrap().node.has_xattrs())
    );
}
