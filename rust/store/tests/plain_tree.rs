//! Steps that work in a plain tree give the layers that they give over an overlay.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use fastlayer_store::{DiffId, MountPoint, PlainTree, Store};
use fixture::live::{self, BASE, SCRIPTS, assert_same, can_mount, in_directory, in_overlay};
use fixture::{Fixture, options};

/// Beyond [`SCRIPTS`], each over the base alone.
const MORE: &[&str] = &[
    "true",
    "rm -r var/lib/sub; mkdir var/lib/sub",
    "rm -r var/lib/sub; mkdir -m 700 var/lib/sub; chown 3:4 var/lib/sub; echo b > var/lib/sub/b",
    "chmod 700 var/lib/sub; chmod 755 var/lib/sub",
    "rm etc/hosts; printf 127.0.0.1 > etc/hosts; touch -d @1000000000 etc/hosts etc",
    "printf 127.0.0.2 > etc/hosts; touch -d @1000000000 etc/hosts",
    "echo more >> etc/passwd-",
    "ln etc/passwd etc/third; rm etc/passwd",
    "rm etc/passwd; ln etc/passwd- etc/passwd",
    "mv etc/passwd- etc/moved",
    "mv var/lib/a var/lib/b; mv var/lib/b var/lib/a",
    "mv var/lib/sub gone && mkdir var/lib/sub && mv gone/b var/lib/sub/",
    "mkdir a; mv a b; rm -r var/lib; mv b var/lib",
    "cp -a bin sbin; rm -r bin; mv sbin bin",
    "rm -r bin; ln -s usr/bin bin; mkdir -p usr/bin",
    "rm etc/mtab; echo file > etc/mtab; rm -r etc; echo x > etc",
    "chown -h 5:6 etc/mtab; touch -h -d @99 etc/mtab",
    "rm var/pipe; echo no pipe > var/pipe",
    "chmod 4711 bin/su; chmod 6755 bin/su",
    "setfattr -n user.a -v 1 bin; setfattr -n user.b -v 2 bin/sh; setfattr -n user.c -v 3 bin/su",
    "setfacl -m u:7:rwx var/lib var/lib/a; setfacl -d -m u:7:rx var/lib",
    "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'",
    "rm etc/hosts; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"etc/hosts\")'",
    "truncate -s 5M sparse; seq 20000 > big; cp big copy; cp --reflink=auto big c3",
    "mkdir -p x/y/z; touch x/y/z/f; mv x/y w; rmdir x/../x; mkdir x; mv w x/y",
    "find . -exec touch -h -d @1234567890 {} +",
    "chown -R 12:13 .; find . -mindepth 1 -type d -exec chmod 711 {} +",
];

/// A store, and one plain tree.
struct Plain {
    fixture: Fixture,
    tree: PlainTree,
    place: PathBuf,
}

impl Plain {
    fn new(layers: &[&[&str]]) -> Self {
        let fixture = Fixture::new();
        let chain: Vec<DiffId> = layers.iter().map(|lines| fixture.layer(lines)).collect();
        let place = fixture.path("tree");
        std::fs::create_dir(&place).unwrap();
        let tree = fixture
            .store
            .lay_out(&chain, &place, &AtomicBool::new(false))
            .unwrap();
        Self {
            fixture,
            tree,
            place,
        }
    }

    fn store(&self) -> &Store {
        &self.fixture.store
    }

    /// Runs a script in the tree; gives the layer it makes.
    fn run(&mut self, script: &str) -> DiffId {
        in_directory(&self.place, script);
        let store = self.fixture.store.clone();
        let info = store.diff_plain_tree(&mut self.tree, &options()).unwrap();
        assert_eq!(info.raw_reason, None, "{script}");
        info.diff_id
    }

    /// Brings the tree to a chain, and checks that it is that.
    fn become_chain(&mut self, chain: &[DiffId], what: &str) {
        let store = self.fixture.store.clone();
        store
            .move_plain_tree(&mut self.tree, chain, &AtomicBool::new(false))
            .unwrap();
        let shown = without_links(in_directory(&self.place, "true"));
        let expected = without_links(live::indexed(&store, chain));
        assert_same(&shown, &expected, what);
        // Nobody has worked in it: nothing is found.
        let info = store.diff_plain_tree(&mut self.tree, &options()).unwrap();
        assert_eq!(info.entries, 0, "{what}");
        store
            .move_plain_tree(&mut self.tree, chain, &AtomicBool::new(false))
            .unwrap();
    }
}

/// Trees without what names are one file: in a plain tree none are.
fn without_links(tree: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let cut = |text: String| {
        let words: Vec<&str> = text.split(' ').collect();
        // Type, mode, owner, link target, group, time, sum.
        [&words[..4], &words[5..]].concat().join(" ")
    };
    tree.into_iter()
        .map(|(path, text)| (path, cut(text)))
        .collect()
}

/// The layer without the times of now: both ways do not run in the same second.
fn timeless(store: &Store, diff_id: DiffId) -> DiffId {
    let info = store.clamp(&diff_id, 1_500_000_000, &options());
    info.unwrap().diff_id
}

fn entries(store: &Store, diff_id: DiffId) -> Vec<String> {
    let index = store.tree_index(&diff_id).unwrap();
    index
        .iter()
        .map(|row| format!("{:?}", row.unwrap().to_entry().unwrap()))
        .collect()
}

fn paths(store: &Store, diff_id: DiffId) -> Vec<String> {
    let index = store.tree_index(&diff_id).unwrap();
    index
        .iter()
        .skip(1)
        .map(|row| String::from_utf8(row.unwrap().path().unwrap()).unwrap())
        .collect()
}

#[track_caller]
fn assert_same_layer(store: &Store, overlay: DiffId, plain: DiffId, script: &str) {
    let (overlay, plain) = (timeless(store, overlay), timeless(store, plain));
    if overlay != plain {
        assert_eq!(entries(store, overlay), entries(store, plain), "{script}");
        panic!("layers differ in more than their trees: {script}");
    }
}

#[test]
fn every_script_alone_gives_the_same_layer() {
    if !can_mount() {
        return;
    }
    // The later ones want what earlier ones made.
    for (number, script) in SCRIPTS[..7].iter().chain(MORE).enumerate() {
        let mut plain = Plain::new(&[BASE]);
        let chain = plain.tree.chain().to_vec();
        let layer = plain.run(script);
        let place = plain.fixture.path(&format!("store/containers/{number}"));
        let (upper, _) = in_overlay(plain.store(), &chain, &place, script);
        let over = plain
            .store()
            .diff_upper(&chain, &upper, true, &options())
            .unwrap();
        assert_same_layer(plain.store(), over.diff_id, layer, script);
        plain.become_chain(&[chain[0], layer], script);
    }
}

#[test]
fn the_tree_of_one_step_is_that_of_the_next() {
    if !can_mount() {
        return;
    }
    let mut plain = Plain::new(&[BASE]);
    let mut over = plain.tree.chain().to_vec();
    let mut chain = over.clone();
    for (number, script) in SCRIPTS.iter().enumerate() {
        let layer = plain.run(script);
        let place = plain.fixture.path(&format!("store/containers/{number}"));
        let (upper, _) = in_overlay(plain.store(), &over, &place, script);
        let info = plain
            .store()
            .diff_upper(&over, &upper, true, &options())
            .unwrap();
        assert_same_layer(plain.store(), info.diff_id, layer, script);
        over.push(info.diff_id);
        chain.push(layer);
        plain.become_chain(&chain, script);
    }
}

#[test]
fn a_tree_becomes_that_of_any_other_chain() {
    let chains: Vec<Vec<&[&str]>> = vec![
        vec![BASE],
        vec![
            BASE,
            &[
                "d etc",
                "f etc/hosts other",
                "w .wh.var",
                "f600 bin/sh shell",
            ],
        ],
        vec![
            BASE,
            &[
                "w etc/.wh..wh..opq",
                "d etc",
                "f etc/x/y 1",
                "h etc/z etc/x/y",
            ],
        ],
        vec![BASE, &["f var file", "l bin elsewhere"]],
        vec![&["d only", "f only/this 1"]],
        vec![],
    ];
    let mut plain = Plain::new(&[BASE]);
    let chains: Vec<Vec<DiffId>> = chains
        .iter()
        .map(|layers| {
            layers
                .iter()
                .map(|lines| plain.fixture.layer(lines))
                .collect()
        })
        .collect();
    for from in &chains {
        for to in &chains {
            plain.become_chain(from, "there");
            plain.become_chain(to, "and back");
        }
    }
}

#[test]
fn no_file_of_a_tree_is_an_object() {
    use std::os::unix::fs::MetadataExt;
    let content = format!("f big {}", "x".repeat(20_000));
    let plain = Plain::new(&[&[content.as_str(), "h linked big", "f small y"]]);
    for name in ["big", "linked", "small"] {
        let metadata = std::fs::metadata(plain.place.join(name)).unwrap();
        assert_eq!(metadata.nlink(), 1, "{name}");
    }
}

#[test]
fn mount_points_leave_no_trace() {
    let mut plain = Plain::new(&[BASE]);
    let point = |path: &str, is_directory| MountPoint {
        path: path.as_bytes().to_vec(),
        is_directory,
    };
    let points = [
        point("proc", true),
        point("etc/resolv.conf", false),
        point("etc/hosts", false),
        point("run/secrets/deep/x", false),
        point("run/lock", true),
    ];
    plain.tree.place(&points).unwrap();
    assert!(plain.place.join("run/secrets/deep/x").is_file());
    let shown = in_directory(&plain.place, "true");
    assert_eq!(shown["etc"].split(' ').nth(5), Some("1000000000"));
    plain.tree.remove_placed().unwrap();
    let layer = plain.run("true");
    assert_eq!(entries(plain.store(), layer).len(), 1);

    // What a step does beside them is its own.
    let chain = plain.tree.chain().to_vec();
    plain.become_chain(&chain, "nothing");
    plain.tree.place(&points).unwrap();
    in_directory(
        &plain.place,
        "echo mine > run/secrets/mine; chmod 700 run/lock; rm -r proc",
    );
    plain.tree.remove_placed().unwrap();
    let layer = plain.run("true");
    assert_eq!(
        paths(plain.store(), layer),
        ["run", "run/lock", "run/secrets", "run/secrets/mine"]
    );
}

#[test]
fn what_stands_for_a_mount_goes_back_with_what_was_made_of_it() {
    let mut plain = Plain::new(&[BASE]);
    let outside = plain.fixture.path("outside");
    std::fs::create_dir_all(outside.join("cache")).unwrap();
    std::fs::write(outside.join("cache/old"), "old").unwrap();
    std::fs::write(outside.join("hosts"), "ours").unwrap();
    for (number, (path, source)) in [
        ("var/lib", "cache"),
        ("etc/hosts", "hosts"),
        ("var/lib/new/inner", "inner"),
        ("opt/new", "new"),
    ]
    .into_iter()
    .enumerate()
    {
        let source = outside.join(source);
        if !source.exists() {
            std::fs::create_dir(&source).unwrap();
        }
        let aside = outside.join(format!("aside-{number}"));
        plain.tree.put(path.as_bytes(), &source, &aside).unwrap();
    }
    let shown = in_directory(
        &plain.place,
        "test $(cat etc/hosts) = ours; rm etc/hosts; echo step > etc/hosts\n\
         cat var/lib/old; echo more > var/lib/more; echo x > var/lib/new/inner/x; rm -r opt/new",
    );
    assert!(!shown.contains_key("var/lib/a"));
    plain.tree.remove_placed().unwrap();
    let read = |name: &str| std::fs::read_to_string(outside.join(name)).unwrap();
    assert_eq!(read("cache/more"), "more\n");
    assert_eq!(read("inner/x"), "x\n");
    assert_eq!(read("hosts"), "step\n");
    assert!(!outside.join("new").exists());
    // Whose names the step changed bears another time.
    let layer = plain.run("true");
    assert_eq!(paths(plain.store(), layer), ["etc", "opt"]);
}

#[test]
fn a_moved_mount_point_is_an_error() {
    let mut plain = Plain::new(&[BASE]);
    let point = MountPoint {
        path: b"var/lib/new".to_vec(),
        is_directory: true,
    };
    plain.tree.place(&[point]).unwrap();
    in_directory(&plain.place, "mv var/lib var/elsewhere; ln -s /tmp var/lib");
    let error = plain.tree.remove_placed().unwrap_err().to_string();
    assert!(error.contains("var/lib/new: the step has moved"), "{error}");
}

#[test]
fn a_device_that_would_be_a_deletion_is_refused() {
    if !can_mount() {
        return;
    }
    let mut plain = Plain::new(&[BASE]);
    in_directory(&plain.place, "mknod etc/x c 0 0");
    let store = plain.store().clone();
    let error = store.diff_plain_tree(&mut plain.tree, &options());
    assert!(error.unwrap_err().to_string().contains("etc/x: a device"));
}
