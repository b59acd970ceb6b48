//! COPY and ADD: every rule of where things go and what they bear.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use fastlayer_context::{Context, IgnoreMatcher};
use fastlayer_store::copy::{CopyOperation, CopySource, ModeChange};
use fastlayer_store::{DiffId, Error, Progress, WriterOptions};
use fixture::{Fixture, listing, options, populate};

struct Copy {
    fixture: Fixture,
    context: Arc<Context>,
    base: Vec<DiffId>,
}

impl Copy {
    /// A context of `files` and a base of `layer`.
    fn new(files: &[&str], layer: &[&str]) -> Self {
        Self::ignoring(files, layer, &[])
    }

    fn ignoring(files: &[&str], layer: &[&str], patterns: &[&str]) -> Self {
        let fixture = Fixture::new();
        let root = fixture.path("context");
        populate(&root, files);
        let matcher = IgnoreMatcher::new(patterns).unwrap();
        let context = Arc::new(Context::open_root(&root, matcher, None).unwrap());
        let base = if layer.is_empty() {
            Vec::new()
        } else {
            vec![fixture.layer(layer)]
        };
        Self {
            fixture,
            context,
            base,
        }
    }

    fn operation(&self, sources: &[&str], destination: &str) -> CopyOperation {
        let source = |pattern: &&str| CopySource::Context {
            context: Arc::clone(&self.context),
            pattern: pattern.as_bytes().to_vec(),
        };
        CopyOperation {
            sources: sources.iter().map(source).collect(),
            destination: destination.as_bytes().to_vec(),
            owner: None,
            mode: None,
            exclude: Vec::new(),
            parents: false,
            unpack: false,
            link: false,
        }
    }

    /// The paths of the new layer alone.
    fn layer(&self, operation: &CopyOperation) -> Result<Vec<String>, Error> {
        let info = self
            .fixture
            .store
            .copy_layer(&self.base, operation, &options())?;
        Ok(listing(&self.fixture.store, &[info.diff_id])
            .into_iter()
            .map(|(path, text)| format!("{path}: {text}"))
            .collect())
    }

    fn copy(&self, sources: &[&str], destination: &str) -> Result<Vec<String>, Error> {
        self.layer(&self.operation(sources, destination))
    }

    fn key(&self, operation: &CopyOperation) -> String {
        self.fixture
            .store
            .copy_key(operation, &options())
            .unwrap()
            .hex()
    }
}

#[track_caller]
fn check(found: Result<Vec<String>, Error>, expected: &[&str]) {
    assert_eq!(found.unwrap(), expected);
}

#[track_caller]
fn check_error(found: Result<Vec<String>, Error>, text: &str) {
    let error = found.unwrap_err().to_string();
    assert!(error.contains(text), "{error}");
}

#[test]
fn a_directory_gives_its_contents() {
    let copy = Copy::new(&["src/a = 1", "src/sub/b = 2"], &[]);
    std::fs::set_permissions(
        copy.fixture.path("context/src"),
        PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    std::fs::set_permissions(
        copy.fixture.path("context/src/sub"),
        PermissionsExt::from_mode(0o750),
    )
    .unwrap();
    check(
        copy.copy(&["src"], "/app"),
        &[
            "app: d 755 0:0",
            "app/a: f 644 0:0 1",
            "app/sub: d 750 0:0",
            "app/sub/b: f 644 0:0 2",
        ],
    );
    assert_eq!(
        copy.copy(&["/src/sub/.."], "/app/").unwrap(),
        copy.copy(&["src"], "/app").unwrap()
    );
}

#[test]
fn a_file_goes_to_a_name_or_below_a_directory() {
    let copy = Copy::new(&["a = 1"], &["d etc", "d1777 tmp", "l link etc"]);
    check(copy.copy(&["a"], "/x"), &["x: f 644 0:0 1"]);
    check(
        copy.copy(&["a"], "/x/y/z"),
        &["x: d 755 0:0", "x/y: d 755 0:0", "x/y/z: f 644 0:0 1"],
    );
    check(
        copy.copy(&["a"], "/x/"),
        &["x: d 755 0:0", "x/a: f 644 0:0 1"],
    );
    check(
        copy.copy(&["a"], "/tmp"),
        &["tmp: d 1777 0:0", "tmp/a: f 644 0:0 1"],
    );
    check(copy.copy(&["../../a"], "/"), &["a: f 644 0:0 1"]);
}

#[test]
fn links_in_the_destination_stay_inside() {
    let copy = Copy::new(
        &["a = 1"],
        &[
            "d etc",
            "l away ../../../etc",
            "l dangling var/new",
            "f real old",
            "l alias real",
        ],
    );
    check(
        copy.copy(&["a"], "/away/"),
        &["etc: d 755 0:0", "etc/a: f 644 0:0 1"],
    );
    check(
        copy.copy(&["a"], "/dangling/"),
        &[
            "var: d 755 0:0",
            "var/new: d 755 0:0",
            "var/new/a: f 644 0:0 1",
        ],
    );
    check(copy.copy(&["a"], "/alias"), &["real: f 644 0:0 1"]);
    let mut linked = copy.operation(&["a"], "/away/");
    linked.link = true;
    check(
        copy.layer(&linked),
        &["away: d 755 0:0", "away/a: f 644 0:0 1"],
    );
}

#[test]
fn wildcards_match_by_component() {
    let copy = Copy::new(
        &[
            "a.txt = 1",
            "b.txt = 2",
            "c.md = 3",
            "one/x = 4",
            "one/d/y = 5",
            "two/x = 6",
        ],
        &[],
    );
    check(
        copy.copy(&["*.txt"], "/d/"),
        &[
            "d: d 755 0:0",
            "d/a.txt: f 644 0:0 1",
            "d/b.txt: f 644 0:0 2",
        ],
    );
    check(
        copy.copy(&["[bc].*", "one"], "/d/"),
        &[
            "d: d 755 0:0",
            "d/b.txt: f 644 0:0 2",
            "d/c.md: f 644 0:0 3",
            "d/d: d 755 0:0",
            "d/d/y: f 644 0:0 5",
            "d/x: f 644 0:0 4",
        ],
    );
    check(
        copy.copy(&["*/x"], "/d/"),
        &["d: d 755 0:0", "d/x: f 644 0:0 6"],
    );
    check(copy.copy(&["*.none"], "/d/"), &[]);
}

#[test]
fn what_is_missing_is_named() {
    let copy = Copy::ignoring(&["a = 1", "b = 2", "link -> /outside"], &[], &["b"]);
    check_error(
        copy.copy(&["nothing/here"], "/x"),
        "nothing/here: not found in the build context",
    );
    check_error(copy.copy(&["b"], "/x"), "ignore file");
    check_error(copy.copy(&["link"], "/x"), "link");
    check_error(copy.copy(&["a", "a"], "/x"), "must be a directory");
    check(
        copy.copy(&["."], "/x"),
        &[
            "x: d 755 0:0",
            "x/a: f 644 0:0 1",
            "x/link: l 777 0:0 /outside",
        ],
    );
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    let copy = Copy::new(
        &["file = 1", "dir/f/inner = 2", "other/sub = 3"],
        &["f f old", "d x", "d x/sub", "d x/f", "l x/l f"],
    );
    check_error(
        copy.copy(&["dir"], "/f"),
        "f: a directory cannot be copied over",
    );
    check_error(
        copy.copy(&["other"], "/x"),
        "x/sub: a file cannot be copied over a directory",
    );
    check_error(copy.copy(&["file"], "/f/x"), "f: is not a directory");
    check_error(copy.copy(&["dir"], "/f/x"), "f: is not a directory");
    check(copy.copy(&["file"], "/f"), &["f: f 644 0:0 1"]);
}

#[test]
fn owner_and_mode_are_those_given() {
    let copy = Copy::new(&["src/run = 1", "src/d/f = 2"], &["d opt"]);
    std::fs::set_permissions(
        copy.fixture.path("context/src/run"),
        PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let mut operation = copy.operation(&["src"], "/opt/new/");
    operation.owner = Some((5, 6));
    operation.mode = Some(ModeChange::parse("u=rwX,go=rX").unwrap());
    check(
        copy.layer(&operation),
        &[
            "opt: d 755 0:0",
            "opt/new: d 755 5:6",
            "opt/new/d: d 755 5:6",
            "opt/new/d/f: f 644 5:6 2",
            "opt/new/run: f 755 5:6 1",
        ],
    );
}

#[test]
fn hard_links_stay_links() {
    let copy = Copy::new(&["src/b = same", "src/z = other"], &[]);
    std::fs::hard_link(
        copy.fixture.path("context/src/b"),
        copy.fixture.path("context/src/a"),
    )
    .unwrap();
    check(
        copy.copy(&["src"], "/x"),
        &[
            "x: d 755 0:0",
            "x/a: f 644 0:0 same",
            "x/b: f 644 0:0 = x/a",
            "x/z: f 644 0:0 other",
        ],
    );
}

#[test]
fn excluded_paths_are_left_out() {
    let copy = Copy::new(
        &["s/a.txt = 1", "s/b.md = 2", "s/d/c.txt = 3", "s/d/k.md = 4"],
        &[],
    );
    let mut operation = copy.operation(&["s"], "/x");
    operation.exclude = vec![b"**/*.txt".to_vec()];
    check(
        copy.layer(&operation),
        &[
            "x: d 755 0:0",
            "x/b.md: f 644 0:0 2",
            "x/d: d 755 0:0",
            "x/d/k.md: f 644 0:0 4",
        ],
    );
    let mut operation = copy.operation(&["s/*"], "/x/");
    operation.exclude = vec![b"*.txt".to_vec()];
    check(
        copy.layer(&operation),
        &["x: d 755 0:0", "x/b.md: f 644 0:0 2", "x/k.md: f 644 0:0 4"],
    );
}

#[test]
fn parents_are_repeated_from_the_pivot_on() {
    let copy = Copy::new(&["x/a/f.c = 1", "x/b/deep/g.c = 2", "x/b/h.md = 3"], &[]);
    let mut operation = copy.operation(&["./x/./**/*.c"], "/d");
    operation.parents = true;
    check(
        copy.layer(&operation),
        &[
            "d: d 755 0:0",
            "d/a: d 755 0:0",
            "d/a/f.c: f 644 0:0 1",
            "d/b: d 755 0:0",
            "d/b/deep: d 755 0:0",
            "d/b/deep/g.c: f 644 0:0 2",
        ],
    );
    let mut operation = copy.operation(&["x/b"], "/d/");
    operation.parents = true;
    check(
        copy.layer(&operation),
        &[
            "d: d 755 0:0",
            "d/x: d 755 0:0",
            "d/x/b: d 755 0:0",
            "d/x/b/deep: d 755 0:0",
            "d/x/b/deep/g.c: f 644 0:0 2",
            "d/x/b/h.md: f 644 0:0 3",
        ],
    );
}

#[test]
fn trees_keep_owners_and_links() {
    let copy = Copy::new(&[], &["d srv"]);
    let big = "x".repeat(10_000);
    let source = copy.fixture.layer(&[
        "d700:7:8 app",
        &format!("f640:7:8 app/big {big}"),
        "h app/also app/big",
        "f app/small text",
        "l app/l /app/small",
        "l current app",
    ]);
    let mut operation = copy.operation(&[], "/srv/out/");
    operation.sources = vec![CopySource::Tree {
        chain: vec![source],
        pattern: b"/current".to_vec(),
    }];
    check(
        copy.layer(&operation),
        &[
            "srv: d 755 0:0",
            "srv/out: d 755 0:0",
            "srv/out/also: f 640 7:8 (10000 bytes)",
            "srv/out/big: f 640 7:8 = srv/out/also",
            "srv/out/l: l 777 0:0 /app/small",
            "srv/out/small: f 644 0:0 text",
        ],
    );
}

#[test]
fn heredocs_and_fetched_files_become_files() {
    let copy = Copy::new(&[], &[]);
    let fetched = copy.fixture.path("fetched");
    std::fs::write(&fetched, "body").unwrap();
    let mut operation = copy.operation(&[], "/d/");
    operation.sources = vec![
        CopySource::Inline {
            name: b"EOF".to_vec(),
            content: Arc::from(&b"hi\n"[..]),
            mode: 0o644,
        },
        CopySource::File {
            path: fetched,
            name: b"page".to_vec(),
            mode: 0o600,
            mtime: 5,
            unpack: false,
        },
    ];
    check(
        copy.layer(&operation),
        &[
            "d: d 755 0:0",
            "d/EOF: f 644 0:0 hi\n".trim_end(),
            "d/page: f 600 0:0 body",
        ],
    );
}

#[test]
fn what_was_fetched_is_unpacked_where_that_is_asked_for() {
    let copy = Copy::new(&[], &[]);
    let fetched = copy.fixture.path("fetched");
    let packed = copy.fixture.layer(&["f inner content"]);
    let mut tar = Vec::new();
    let cancel = std::sync::atomic::AtomicBool::new(false);
    copy.fixture
        .store
        .write_tar(&packed, &mut tar, &cancel)
        .unwrap();
    std::fs::write(&fetched, &tar).unwrap();
    let paths = |unpack| {
        let mut operation = copy.operation(&[], "/");
        operation.unpack = true;
        operation.sources = vec![CopySource::File {
            path: fetched.clone(),
            name: b"a.tar".to_vec(),
            mode: 0o600,
            mtime: 5,
            unpack,
        }];
        copy.layer(&operation).unwrap().concat()
    };
    assert!(paths(false).starts_with("a.tar: f 600 0:0 "));
    assert_eq!(paths(true), "inner: f 644 0:0 content");
}

#[test]
fn archives_are_unpacked_by_content() {
    let copy = Copy::new(
        &["plain = not a tar"],
        &["d usr", "d usr/bin", "l bin usr/bin", "d700 d"],
    );
    let info = copy
        .fixture
        .layer_info(&["f bin/tool new", "d755:3:4 d", "f d/f 1", "l s d"]);
    let tar = copy.fixture.path("context/a.weird");
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let mut bytes = Vec::new();
    copy.fixture
        .store
        .write_tar(&info.diff_id, &mut bytes, &cancel)
        .unwrap();
    for compressed in [bytes.clone(), zstd::encode_all(&bytes[..], 1).unwrap()] {
        std::fs::write(&tar, compressed).unwrap();
        let mut operation = copy.operation(&["a.weird"], "/");
        operation.unpack = true;
        check(
            copy.layer(&operation),
            &[
                "d: d 755 3:4",
                "d/f: f 644 0:0 1",
                "s: l 777 0:0 d",
                "usr: d 755 0:0",
                "usr/bin: d 755 0:0",
                "usr/bin/tool: f 644 0:0 new",
            ],
        );
    }
    let mut operation = copy.operation(&["plain"], "/");
    operation.unpack = true;
    check(copy.layer(&operation), &["plain: f 644 0:0 not a tar"]);
    std::fs::write(&tar, zstd::encode_all(&b"no tar"[..], 1).unwrap()).unwrap();
    let mut operation = copy.operation(&["a.weird"], "/x");
    operation.unpack = true;
    assert_eq!(copy.layer(&operation).unwrap().len(), 1);
}

#[test]
fn files_of_two_archives_are_never_one_file() {
    let copy = Copy::new(&[], &[]);
    let cancel = std::sync::atomic::AtomicBool::new(false);
    for (name, line) in [("one.tar", "f a 1"), ("two.tar", "f b 2")] {
        let info = copy.fixture.layer_info(&[line]);
        let mut bytes = Vec::new();
        copy.fixture
            .store
            .write_tar(&info.diff_id, &mut bytes, &cancel)
            .unwrap();
        std::fs::write(copy.fixture.path("context").join(name), bytes).unwrap();
    }
    let mut operation = copy.operation(&["*.tar"], "/x/");
    operation.unpack = true;
    check(
        copy.layer(&operation),
        &["x: d 755 0:0", "x/a: f 644 0:0 1", "x/b: f 644 0:0 2"],
    );
}

#[test]
fn the_key_is_the_content_and_not_the_time() {
    let copy = Copy::new(&["src/a = 1", "src/d/b = 2"], &[]);
    let operation = copy.operation(&["src"], "/x");
    let key = copy.key(&operation);
    let file = std::fs::File::open(copy.fixture.path("context/src/a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(copy.key(&operation), key);
    std::fs::write(copy.fixture.path("context/src/a"), "2").unwrap();
    let changed = copy.key(&operation);
    assert_ne!(changed, key);
    std::fs::write(copy.fixture.path("context/src/a"), "1").unwrap();
    assert_eq!(copy.key(&operation), key);
    let directory = copy.fixture.path("context/src/d");
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o700)).unwrap();
    assert_ne!(copy.key(&operation), key);
}

#[test]
fn one_pass_gives_the_layer_and_its_key() {
    let files = ["a/x = 1", "a/empty = ", "a/d/y = 2", "b/x = 3", "b/d/z = 4"];
    let copy = Copy::new(&files, &[]);
    let root = copy.fixture.path("context");
    std::fs::write(root.join("a/large"), vec![7; 700_000]).unwrap();
    // In the order of the key the first name is in another directory than in that of the layer.
    std::fs::hard_link(root.join("a/large"), root.join("a/d/zz")).unwrap();
    std::fs::hard_link(root.join("b/d/z"), root.join("b/0")).unwrap();
    let mut excluding = copy.operation(&["a", "b"], "/opt/");
    excluding.exclude = vec![b"d".to_vec()];
    let operations = [
        copy.operation(&["a"], "/opt"),
        // What the second source covers is keyed and not copied.
        copy.operation(&["a", "b"], "/opt/"),
        copy.operation(&["a/x"], "/opt/x"),
        excluding,
    ];
    for operation in operations {
        let root = copy.fixture.path("context");
        let matcher = IgnoreMatcher::default();
        let cache = copy.fixture.path("stat-cache");
        let context = Arc::new(Context::open_root(&root, matcher, Some(&cache)).unwrap());
        let mut cached = operation.clone();
        for source in &mut cached.sources {
            if let CopySource::Context { context: old, .. } = source {
                *old = Arc::clone(&context);
            }
        }
        let store = &copy.fixture.store;
        let (layer, key) = store.copy_layer_keyed(&[], &cached, &options()).unwrap();
        assert_eq!(key.hex(), copy.key(&operation));
        let plain = store.copy_layer(&[], &operation, &options()).unwrap();
        assert_eq!(layer.diff_id, plain.diff_id);
        // What was copied is known from then on.
        assert_eq!(copy.key(&cached), key.hex());
        let mut walk = context
            .walk(
                b"",
                fastlayer_context::WalkOptions::default(),
                &options().cancel,
            )
            .unwrap();
        walk.entries.retain(|entry| entry.path.starts_with(b"a/x"));
        assert!(walk.entries.iter().all(|entry| entry.content.is_some()));
        std::fs::remove_file(&cache).unwrap_or_default();
    }
}

#[test]
fn the_same_sources_give_the_same_layer() {
    let copy = Copy::new(&["src/a = 1", "src/d/b = 2"], &["d opt"]);
    let operation = copy.operation(&["src"], "/opt/new/deep");
    let first = copy
        .fixture
        .store
        .copy_layer(&copy.base, &operation, &options())
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = copy
        .fixture
        .store
        .copy_layer(&copy.base, &operation, &options())
        .unwrap();
    assert_eq!(first.diff_id, second.diff_id);
}

#[test]
fn a_whiteout_name_cannot_be_copied() {
    let copy = Copy::new(&[".wh.x = 1"], &[]);
    check_error(copy.copy(&["."], "/"), ".wh.x");
}

#[test]
fn a_working_directory_is_made_once() {
    use fastlayer_store::copy::NewDirectory;
    let copy = Copy::new(&[], &["d opt", "l link opt", "f file x"]);
    let store = &copy.fixture.store;
    let directory = |path: &str| NewDirectory {
        path: path.as_bytes().to_vec(),
        owner: (3, 4),
        mode: 0o755,
        mtime: 7,
    };
    let made = |path| store.directory_layer(&copy.base, &directory(path), &options());
    assert_eq!(made("/link").unwrap(), None);
    assert_eq!(made("/").unwrap(), None);
    let info = made("/link/a/b").unwrap().unwrap();
    let lines: Vec<String> = listing(store, &[info.diff_id])
        .into_iter()
        .map(|(path, text)| format!("{path}: {text}"))
        .collect();
    assert_eq!(
        lines,
        ["opt: d 755 0:0", "opt/a: d 755 3:4", "opt/a/b: d 755 3:4"]
    );
    assert!(made("/file/x").is_err());
    assert!(made("/file").is_err());
}

#[test]
fn progress_ends_at_the_length_of_the_tar() {
    let copy = Copy::new(&["a/one = 1", "a/two = 22", "a/b/three = 333"], &[]);
    std::fs::hard_link(
        copy.fixture.path("context/a/two"),
        copy.fixture.path("context/a/b/two"),
    )
    .unwrap();
    let progress = Arc::new(Progress::default());
    let options = WriterOptions {
        progress: Arc::clone(&progress),
        ..options()
    };
    let operation = copy.operation(&["a"], "/a/");
    let info = copy
        .fixture
        .store
        .copy_layer(&[], &operation, &options)
        .unwrap();
    assert_eq!(progress.done(), info.size);
    // The two blocks at the end of a tar are not foreseen.
    assert_eq!(progress.total(), info.size - 1024);
}
