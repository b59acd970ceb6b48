//! The rungs by which files get into a checkout: each forced, each mounted, each with inodes of its
//! own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fastlayer_fs::filesystem::FileSystem;
use fastlayer_fs::{Directory, xattr};
use fastlayer_store::index::Kind;
use fastlayer_store::overlay::OverlayNamespace;
use fastlayer_store::{Keep, Ladder, Lowers, Store, Trial};
use fixture::Fixture;
use fixture::live::{assert_same, can_mount};
use fixture::mounts::{Overlay, try_mount};
use proptest::prelude::*;
use rustix::io::Errno;

/// Long enough for a stub.
const BIG: usize = 100_000;
/// An object, but too short for a stub.
const MIDDLE: usize = 6_000;

fn layer(lines: &[&str]) -> Vec<String> {
    let (big, middle) = ("b".repeat(BIG), "m".repeat(MIDDLE));
    let filled = |line: &&str| line.replace("BIG", &big).replace("MIDDLE", &middle);
    lines.iter().map(filled).collect()
}

/// A layer of one content at several paths, and one above it with the same once more.
fn layers() -> [Vec<String>; 2] {
    [
        layer(&[
            "f a BIG",
            "f b BIG",
            "f600 c BIG",
            "h d a",
            "h e b",
            "f m MIDDLE",
            "f n MIDDLE",
            "f600 o MIDDLE",
            "f small 1",
        ]),
        layer(&["d top", "f top/a BIG", "f top/m MIDDLE", "f4755 top/s BIG"]),
    ]
}

fn overlay(words: &str) -> Overlay {
    let layers = layers();
    let layers: Vec<Vec<&str>> = layers
        .iter()
        .map(|lines| lines.iter().map(String::as_str).collect())
        .collect();
    let layers: Vec<&[&str]> = layers.iter().map(Vec::as_slice).collect();
    Overlay::with_rungs(words, &layers)
}

/// By which rung a file came.
fn rung(path: &Path) -> &'static str {
    let file = std::fs::File::open(path).unwrap();
    let marks = OverlayNamespace::of_process();
    let marked = xattr::get(&file, &marks.name(b"metacopy"))
        .unwrap()
        .is_some();
    let found = file.metadata().unwrap();
    match (marked, found.blocks() >= found.len() / 512) {
        (true, false) => "stub",
        (true, true) => panic!("a stub with content: {}", path.display()),
        (false, true) if found.nlink() > 2 => "link",
        (false, true) => "own",
        (false, false) => panic!("a file without content: {}", path.display()),
    }
}

/// By which rung the file came that a mount of these directories shows.
fn shown(lowers: &Lowers, name: &str) -> &'static str {
    let paths = lowers.directories.iter().map(|lower| lower.join(name));
    rung(&paths.into_iter().find(|path| path.exists()).unwrap())
}

/// Whether new files can share blocks with old ones here: then no stub is needed.
fn reflinks() -> bool {
    let fixture = Fixture::new();
    let [one, two] = ["one", "two"].map(|name| fixture.path(name));
    std::fs::write(&one, [1; 4096]).unwrap();
    let new = std::fs::File::create(two).unwrap();
    fastlayer_fs::copy::reflink(std::fs::File::open(one).unwrap(), new).unwrap()
}

#[test]
fn each_rung_is_taken_where_the_ones_before_it_do_not_hold() {
    if !can_mount() {
        return;
    }
    let reflinks = reflinks();
    for words in ["hardlink,reflink,stub,copy", "reflink,stub", "stub", "copy"] {
        let mut overlay = overlay(words);
        overlay.check_mount(words);
        let lowers = overlay.lowers();
        let shares = words.contains("reflink") && reflinks;
        let second = if words == "copy" || shares {
            "own"
        } else {
            "stub"
        };
        let links = words.contains("hardlink");
        let first = if links { "link" } else { second };
        let found = ["a", "b", "c", "d", "n", "top/s"].map(|name| shown(&lowers, name));
        let expected = [first, second, second, first, "own", second];
        assert_eq!(found, expected, "{words}");
        // Both layers link one object: the upper one's file is put right by a copy above it.
        let repeated = if links { "own" } else { second };
        assert_eq!(shown(&lowers, "top/a"), repeated, "{words}");
        let stubs = second == "stub";
        let count = 2 + usize::from(links) + usize::from(stubs);
        assert_eq!(lowers.directories.len(), count, "{words}");
        assert_eq!(lowers.data.len(), if stubs { 2 } else { 0 }, "{words}");
        assert_eq!(checked(&overlay), Vec::<String>::new(), "{words}");
    }
}

/// What a check says of the checkouts.
fn checked(overlay: &Overlay) -> Vec<String> {
    let found = overlay
        .fixture
        .store
        .fsck(&AtomicBool::new(false), &mut |_| {});
    let details = found.unwrap().into_iter();
    details
        .map(|problem| format!("{}: {}", problem.what, problem.detail))
        .collect()
}

/// Something done to a path, and what the check says of it.
type Damage<'a> = (&'a dyn Fn(&Path), &'a str);

#[test]
fn a_check_tells_stubs_that_are_not_right() {
    if !can_mount() {
        return;
    }
    let marks = OverlayNamespace::of_process();
    let redirect = marks.name(b"redirect");
    let damages: [Damage<'_>; 4] = [
        (
            &|stub| {
                let file = std::fs::File::open(stub).unwrap();
                xattr::set(&file, &redirect, b"/ab/cd").unwrap();
            },
            "checkout: /c leads to another object",
        ),
        (
            &|stub| {
                let file = std::fs::File::open(stub).unwrap();
                xattr::remove(&file, &redirect).unwrap();
            },
            "checkout: /c has overlay's marks of a stub, and 1 more differences",
        ),
        (
            &|stub| {
                let time = std::fs::metadata(stub).unwrap().modified().unwrap();
                let file = std::fs::File::options().write(true).open(stub).unwrap();
                file.set_len(7).unwrap();
                file.set_modified(time).unwrap();
            },
            "checkout: /c has 7 bytes, not 100000",
        ),
        (
            &|stub| std::fs::remove_file(stub).unwrap(),
            "checkout: /c is in none of it",
        ),
    ];
    for (damage, expected) in damages {
        let mut overlay = overlay("hardlink,stub");
        overlay.check_mount("whole");
        let lowers = overlay.lowers();
        if lowers.data.is_empty() {
            return; // other tests tell where mounts follow no stubs
        }
        let stubs = lowers.directories.last().unwrap();
        let time = std::fs::metadata(stubs).unwrap().modified().unwrap();
        damage(&stubs.join("c"));
        let directory = std::fs::File::open(stubs).unwrap();
        directory.set_modified(time).unwrap();
        assert_eq!(checked(&overlay), [expected]);
        let repaired = overlay.fixture.store.repair(&Arc::default()).unwrap();
        assert_eq!(repaired.left, []);
        assert!(!stubs.exists());
        overlay.check_mount("made again");
    }
}

#[test]
fn tools_in_a_mount_find_the_hard_links_of_the_tar_and_no_others() {
    if !can_mount() {
        return;
    }
    for words in ["hardlink,reflink,stub", "hardlink,copy", "stub", "copy"] {
        let mut overlay = overlay(words);
        let mounted = overlay.mounted();
        let links = mounted.shell(
            "tar cf - . | tar tvf - | sed -n 's/^h.* \\.\\/\\(.*\\) link to \\.\\/\\(.*\\)/\\1 \\2/p' \
             | tr ' ' '\\n' | sort; echo ==; \
             mkdir copy; cp -a a b c d e m n o small top copy; \
             cd copy; find . -type f -links +1 -printf '%n %P\\n' | sort",
        );
        let expected = "a\nb\nd\ne\n==\n2 a\n2 b\n2 d\n2 e\n";
        assert_eq!(links, expected, "{words}");
    }
}

#[test]
fn what_is_copied_up_is_whole_and_bears_no_marks() {
    if !can_mount() {
        return;
    }
    let scripts = [
        // The new name stays alone: in user namespaces the kernel shows two inodes for both.
        "chmod 711 a; echo more >> b; mv c moved; ln d linked; rm d; setfattr -n user.x -v y top/s",
        "touch -d @77 a; : >> e; mkdir sub; mv top/a sub/a; cp -a top/s sub/s",
        "cat a b moved > /dev/null; tar cf all.tar a b moved sub; rm all.tar; truncate -s 50000 b",
    ];
    for adopt in [false, true] {
        let mut overlay = overlay("stub");
        assert_eq!(overlay.lowers().data.len(), 2);
        for script in scripts {
            let (upper, _) = overlay.mount(script);
            assert_no_stubs(&upper);
            std::fs::remove_dir_all(upper).unwrap();
            overlay.run(script, adopt);
        }
        assert_eq!(overlay.entries()[0], "File b");
        let problems = overlay.fixture.store.fsck(&Default::default(), &mut |_| {});
        assert_eq!(problems.unwrap(), []);
    }
}

/// Nothing below the directory is or bears a mark of a stub, and every file has its blocks.
fn assert_no_stubs(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        if found.is_dir() {
            assert_no_stubs(&path);
        } else if found.is_file() {
            assert_eq!(rung(&path), "own", "{}", path.display());
        }
    }
}

#[test]
fn a_mount_of_stubs_outlives_syncs_and_collections() {
    if !can_mount() {
        return;
    }
    let mut overlay = overlay("stub");
    let base = overlay.chain[0];
    let other = overlay
        .fixture
        .layer(&[&format!("f x {}", "x".repeat(BIG))]);
    let [read, unread] = [overlay.mounted(), overlay.mounted()];
    let before = read.shown();
    // Objects move from one data-only directory to the other below the mounts.
    overlay.fixture.store.sync().unwrap();
    let keep = Keep {
        layers: HashSet::from(<[_; 2]>::try_from(overlay.chain.clone()).unwrap()),
        ..Keep::default()
    };
    let collected = overlay
        .fixture
        .store
        .collect(|| Ok(keep.clone()), &Default::default())
        .unwrap();
    assert_eq!(collected.layers, [other]);
    assert_eq!(collected.objects, 1);
    assert_same(&before, &read.shown(), "a sync and a collection");
    assert_same(&before, &unread.shown(), "a sync and a collection, unread");
    drop((read, unread));
    // Without the layers nothing keeps checkouts and objects.
    let collected = overlay
        .fixture
        .store
        .collect(|| Ok(Keep::default()), &Default::default())
        .unwrap();
    assert!(collected.layers.contains(&base));
    assert_eq!(collected.objects, 2);
    let checkouts = overlay.fixture.path("store/checkouts");
    let left = Command::new("find")
        .arg(&checkouts)
        .args(["-name", "fs"])
        .output();
    assert_eq!(String::from_utf8(left.unwrap().stdout).unwrap(), "");
}

/// One path of a random layer.
#[derive(Clone, Debug)]
enum Thing {
    Directory {
        opaque: bool,
    },
    File {
        mode: u32,
        letter: char,
    },
    /// A further name of the file at that path of the same layer, if there is one.
    Link(Vec<&'static str>),
    Gone,
}

type Paths = BTreeMap<Vec<&'static str>, Thing>;

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
}

fn thing() -> impl Strategy<Value = Thing> {
    let file = (
        prop::sample::select(vec![0o644, 0o600]),
        prop::sample::select(vec!['x', 'y']),
    );
    prop_oneof![
        2 => any::<bool>().prop_map(|opaque| Thing::Directory { opaque }),
        6 => file.prop_map(|(mode, letter)| Thing::File { mode, letter }),
        2 => path().prop_map(Thing::Link),
        1 => Just(Thing::Gone),
    ]
}

/// A random layer, as lines of the fixture.
fn random_layer() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec((path(), thing()), 1..7).prop_map(|all| {
        let mut paths = Paths::new();
        for (path, thing) in all {
            for length in 1..path.len() {
                let parent = paths.entry(path[..length].to_vec());
                let parent = parent.or_insert(Thing::Directory { opaque: false });
                if !matches!(parent, Thing::Directory { .. }) {
                    *parent = Thing::Directory { opaque: false };
                }
            }
            if !matches!(thing, Thing::Directory { .. }) {
                paths.retain(|known, _| !(known.len() > path.len() && known.starts_with(&path)));
            }
            paths.insert(path, thing);
        }
        lines(&paths)
    })
}

fn lines(paths: &Paths) -> Vec<String> {
    let mut lines = Vec::new();
    let mut links = Vec::new();
    for (path, thing) in paths {
        let (name, parent) = path.split_last().unwrap();
        let path = path.join("/");
        match thing {
            Thing::Directory { opaque } => {
                lines.push(format!("d {path}"));
                if *opaque {
                    lines.push(format!("w {path}/.wh..wh..opq"));
                }
            }
            Thing::File { mode, letter } => {
                let content = letter.to_string().repeat(BIG);
                lines.push(format!("f{mode:o} {path} {content}"));
            }
            Thing::Link(first) => {
                if let Some(Thing::File { .. }) = paths.get(first) {
                    links.push(format!("h {path} {}", first.join("/")));
                }
            }
            Thing::Gone => {
                let name = [parent.join("/"), format!(".wh.{name}")].join("/");
                lines.push(format!("w {}", name.trim_start_matches('/')));
            }
        }
    }
    lines.extend(links);
    lines
}

/// Whether a line deletes something in a directory that no layer below has: overlayfs, which has
/// nothing to merge there, then lists the name although nothing is there.
fn deletes_nowhere(overlay: &Overlay, line: &str) -> bool {
    let Some(path) = line.strip_prefix("w ") else {
        return false;
    };
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let view = overlay.fixture.store.tree_view(&overlay.chain).unwrap();
    let below = view.get(parent.as_bytes()).unwrap();
    !path.ends_with(".wh..wh..opq") && below.is_none_or(|node| node.kind() != Kind::Directory)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("FASTLAYER_LONG").is_some() { 300 } else { 12 },
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_layers_look_as_their_indexes_say(
        layers in prop::collection::vec(random_layer(), 1..5),
        links in any::<bool>(),
        stepwise in any::<bool>(),
    ) {
        if !can_mount() {
            return Ok(());
        }
        let mut overlay = Overlay::with_rungs(if links { "hardlink,stub" } else { "stub" }, &[]);
        for lines in &layers {
            let lines: Vec<&str> = lines
                .iter()
                .map(String::as_str)
                .filter(|line| !deletes_nowhere(&overlay, line))
                .collect();
            overlay.chain.push(overlay.fixture.layer(&lines));
            if stepwise {
                overlay.check_mount("a layer was added");
            }
        }
        overlay.check_mount("all layers");
    }
}

static NAMES: AtomicUsize = AtomicUsize::new(0);

fn refuse(_: &Trial) -> Option<Vec<u8>> {
    None
}

fn show_zeros(trial: &Trial) -> Option<Vec<u8>> {
    try_mount(trial).map(|content| vec![0; content.len()])
}

/// Makes a checkout with a file that can be a stub; gives whether it is.
fn takes_stub(fixture: &Fixture) -> bool {
    let name = NAMES.fetch_add(1, Ordering::Relaxed);
    let layer = fixture.layer(&[&format!("f {name} {}", "x".repeat(BIG))]);
    let lowers = fixture.store.checkout(&[layer], &Default::default());
    shown(&lowers.unwrap(), &name.to_string()) == "stub"
}

fn cache_file(fixture: &Fixture) -> PathBuf {
    let kind = match OverlayNamespace::of_process() {
        OverlayNamespace::Trusted => "trusted",
        OverlayNamespace::User => "user",
    };
    fixture.path(&format!("store/cache/stubs-{kind}"))
}

/// Opens the store anew, as another process does.
fn reopen(fixture: &mut Fixture, stub: fn(&Trial) -> Option<Vec<u8>>) {
    fixture.store = Store::open(fixture.store.path(), false).unwrap();
    fixture.store.set_ladder(Ladder {
        hardlink: false,
        reflink: false,
        stub: Some(stub),
    });
}

#[test]
fn where_mounts_do_not_follow_stubs_files_are_copied() {
    for trial in [refuse, show_zeros] {
        let mut fixture = Fixture::new();
        reopen(&mut fixture, trial);
        assert!(!takes_stub(&fixture));
        assert!(!takes_stub(&fixture));
        let line = std::fs::read_to_string(cache_file(&fixture)).unwrap();
        assert!(line.ends_with(" no\n"), "{line}");
        let left = std::fs::read_dir(fixture.path("store/staging")).unwrap();
        assert_eq!(left.count(), 0);
        // Another command believes what the first has found.
        reopen(&mut fixture, try_mount);
        assert!(!takes_stub(&fixture));
    }
}

#[test]
fn an_answer_counts_for_its_kernel_and_boot_only() {
    if !can_mount() {
        return;
    }
    let mut fixture = Fixture::new();
    reopen(&mut fixture, try_mount);
    assert!(takes_stub(&fixture));
    let yes = std::fs::read_to_string(cache_file(&fixture)).unwrap();
    let no = yes.replace(" yes", " no");
    assert_ne!(yes, no);
    for stale in [&no[1..], &no.replace(' ', " 0"), "", " no", "\u{0}"] {
        std::fs::write(cache_file(&fixture), stale).unwrap();
        reopen(&mut fixture, try_mount);
        assert!(takes_stub(&fixture), "{stale:?}");
        assert_eq!(std::fs::read_to_string(cache_file(&fixture)).unwrap(), yes);
    }
}

/// ext4 gives an inode at most 65,000 names.
#[test]
fn an_object_that_can_have_no_more_names_takes_the_next_rung() {
    let fixture = Fixture::new();
    let directory = Directory::open(fixture.directory.path()).unwrap();
    if FileSystem::of(&directory).unwrap() != FileSystem::Ext {
        assert!(std::env::var_os("CI").is_none(), "CI tests on ext4");
        eprintln!("skipped: only ext4 has so low a limit of links");
        return;
    }
    let lines = layer(&["f a BIG", "f600 b BIG"]);
    let diff_id = fixture.layer(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let objects = Command::new("find")
        .arg(fixture.path("store/unsynced"))
        .args(["-size", "+90k", "-type", "f"])
        .output();
    let object = String::from_utf8(objects.unwrap().stdout).unwrap();
    directory.mkdir_at(b"names", 0o700).unwrap();
    let names = directory.open_child(b"names").unwrap();
    let object = std::fs::File::open(object.trim()).unwrap();
    let full = (0..70_000).find(|number| {
        let made = names.link_at(&object, number.to_string().as_bytes());
        made.is_err_and(|error| error.errno() == Some(Errno::MLINK))
    });
    assert!(full.is_some(), "the limit of links was not found");
    let lowers = fixture.store.checkout(&[diff_id], &Default::default());
    assert_eq!(shown(&lowers.unwrap(), "a"), "own");
}

/// The tests of this file, by a process that is root in a user namespace only.
#[test]
fn all_of_this_holds_in_a_user_namespace() {
    const INSIDE: &str = "FASTLAYER_TEST_INSIDE";
    if !can_mount() || std::env::var_os(INSIDE).is_some() {
        return;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--skip", "an_object_that_can_have_no_more_names"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("each_rung_is_taken"), "{text}");
}
