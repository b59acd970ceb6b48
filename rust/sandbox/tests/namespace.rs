//! Overlays and programs in a mount namespace. Needs root; elsewhere only the refusal is tested.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fastlayer_fs::xattr;
use fastlayer_sandbox::{
    Error, MountNamespace, Overlay, Program, Upper, forget_volatile, read_through,
};
use rustix::process::{Pid, WaitOptions, waitpid};

/// A namespace, or the reason why there is none.
fn namespace() -> Option<MountNamespace> {
    match MountNamespace::new() {
        Ok(namespace) => Some(namespace),
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI runs these as root: {error}"
            );
            eprintln!("skipped: {error}");
            None
        }
    }
}

struct Fixture {
    top: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        for name in ["low", "high", "upper", "work", "merged"] {
            std::fs::create_dir(top.path().join(name)).unwrap();
        }
        std::fs::write(top.path().join("low/a"), "low").unwrap();
        std::fs::write(top.path().join("low/b"), "low").unwrap();
        std::fs::write(top.path().join("high/b"), "high").unwrap();
        Self { top }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn overlay(&self, volatile: bool) -> Overlay {
        Overlay {
            lowers: vec![self.path("high"), self.path("low")],
            data: Vec::new(),
            upper: Some(Upper {
                directory: self.path("upper"),
                work: self.path("work"),
            }),
            volatile,
        }
    }
}

/// Runs a shell script in the namespace; gives what it printed and its exit status.
fn run(namespace: &MountNamespace, directory: &Path, script: &str) -> (String, i32) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = File::open("/dev/null").unwrap();
    let pid = namespace
        .spawn(&Program {
            arguments: ["sh", "-c", script].map(OsString::from).to_vec(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            directory: directory.to_path_buf(),
            stdin: null.as_fd(),
            stdout: writer.as_fd(),
            stderr: writer.as_fd(),
            pass: Vec::new(),
        })
        .unwrap();
    drop(writer);
    let mut output = String::new();
    File::from(reader).read_to_string(&mut output).unwrap();
    (output, wait(pid))
}

fn wait(pid: u32) -> i32 {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    let (_, status) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().unwrap_or(-1)
}

#[test]
fn c19_changes_go_to_the_upper_and_stay_out_of_sight() {
    let Some(namespace) = namespace() else { return };
    let fixture = Fixture::new();
    let merged = fixture.path("merged");
    namespace
        .mount_overlay(fixture.overlay(true), &merged)
        .unwrap();
    let (output, status) = run(&namespace, &merged, "cat a b; echo new > c; rm a; pwd");
    assert_eq!(
        (output.as_str(), status),
        (format!("lowhigh{}\n", merged.display()).as_str(), 0)
    );
    assert_eq!(std::fs::read_dir(&merged).unwrap().count(), 0);
    assert_eq!(
        std::fs::read_to_string(fixture.path("upper/c")).unwrap(),
        "new\n"
    );
    assert_eq!(
        std::fs::symlink_metadata(fixture.path("upper/a"))
            .unwrap()
            .rdev(),
        0
    );
    let (mounts, _) = run(
        &namespace,
        Path::new("/"),
        "grep ^overlay /proc/self/mountinfo /proc/self/mounts",
    );
    assert!(mounts.contains("volatile"), "{mounts}");
    assert!(
        !mounts.contains("index=on") && !mounts.contains("metacopy=on"),
        "{mounts}"
    );

    namespace.unmount(&merged).unwrap();
    assert_eq!(run(&namespace, &merged, "ls").0, "");
    assert!(namespace.unmount(&merged).is_err());

    // A volatile upper is not mounted again before its mark is gone.
    assert!(
        namespace
            .mount_overlay(fixture.overlay(false), &merged)
            .is_err()
    );
    forget_volatile(&fixture.path("work")).unwrap();
    forget_volatile(&fixture.path("work")).unwrap();
    namespace
        .mount_overlay(fixture.overlay(false), &merged)
        .unwrap();
    assert_eq!(run(&namespace, &merged, "cat c").0, "new\n");
}

#[test]
fn paths_may_be_long_and_odd_and_many() {
    let Some(namespace) = namespace() else { return };
    let top = tempfile::tempdir().unwrap();
    let mut deep = top.path().to_path_buf();
    for _ in 0..3 {
        deep.push("n".repeat(120));
    }
    let mut lowers = Vec::new();
    for number in 0..150 {
        let lower = match number {
            0 => deep.join("long"),
            1 => top.path().join("odd:,\\ name"),
            _ => top.path().join(number.to_string()),
        };
        std::fs::create_dir_all(&lower).unwrap();
        std::fs::write(lower.join(format!("from-{number}")), "").unwrap();
        lowers.push(lower);
    }
    let target = deep.join("target");
    std::fs::create_dir(&target).unwrap();
    let overlay = Overlay {
        lowers,
        ..Overlay::default()
    };
    namespace.mount_overlay(overlay.clone(), &target).unwrap();
    assert_eq!(
        run(&namespace, &target, "ls | wc -l; touch x 2>/dev/null")
            .0
            .trim(),
        "150"
    );
    let odd = top.path().join("up:,\\per");
    for name in ["upper", "work"] {
        std::fs::create_dir_all(odd.join(name)).unwrap();
    }
    let with_upper = Overlay {
        upper: Some(Upper {
            directory: odd.join("upper"),
            work: odd.join("work"),
        }),
        ..overlay.clone()
    };
    namespace.mount_overlay(with_upper, &target).unwrap();
    run(&namespace, &target, "touch x");
    assert!(odd.join("upper/x").exists());
    let too_many = Overlay {
        lowers: overlay.lowers.iter().cycle().take(501).cloned().collect(),
        ..Overlay::default()
    };
    let error = namespace.mount_overlay(too_many, &target).unwrap_err();
    assert!(matches!(error, Error::TooManyLayers { count: 501, .. }));
    assert!(
        namespace
            .mount_overlay(Overlay::default(), &target)
            .is_err()
    );
}

/// Writes a file that leaves its content to a data-only directory.
fn stub(path: &Path, target: &str, size: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    xattr::set(&file, b"trusted.overlay.redirect", target.as_bytes()).unwrap();
    xattr::set(&file, b"trusted.overlay.metacopy", b"").unwrap();
}

#[test]
fn contents_may_lie_in_directories_of_their_own() {
    let Some(namespace) = namespace() else { return };
    let fixture = Fixture::new();
    let data = ["one:,", "two"].map(|name| fixture.path(name));
    for (place, name) in data.iter().zip(["first", "second"]) {
        std::fs::create_dir_all(place.join("ab")).unwrap();
        std::fs::write(place.join("ab").join(name), name).unwrap();
        stub(
            &fixture.path("low").join(name),
            &format!("/ab/{name}"),
            name.len() as u64,
        );
    }
    let overlay = Overlay {
        data: data.to_vec(),
        ..fixture.overlay(true)
    };
    let merged = fixture.path("merged");
    namespace.mount_overlay(overlay.clone(), &merged).unwrap();
    let (output, _) = run(
        &namespace,
        &merged,
        "cat first second; ls; chmod 600 second",
    );
    assert_eq!(output, "firstseconda\nb\nfirst\nsecond\n");
    let copied = std::fs::read_to_string(fixture.path("upper/second"));
    assert_eq!(copied.unwrap(), "second");
    drop(namespace);

    std::fs::remove_dir_all(fixture.path("work/work")).unwrap();
    let content = read_through(overlay, &merged, "first", 0o604).unwrap();
    assert_eq!(content, b"first");
    let missing = read_through(fixture.overlay(true), &merged, "none", 0o604);
    assert!(missing.is_err());
    let many = Overlay {
        lowers: vec![fixture.path("low"); 499],
        data: data.to_vec(),
        ..Overlay::default()
    };
    let error = read_through(many, &merged, "first", 0o604).unwrap_err();
    assert!(matches!(error, Error::TooManyLayers { count: 501, .. }));
}

#[test]
fn errors_name_the_path_and_the_reason() {
    let Some(namespace) = namespace() else { return };
    let fixture = Fixture::new();
    let missing = Overlay {
        lowers: vec![fixture.path("none")],
        ..fixture.overlay(false)
    };
    let error = namespace
        .mount_overlay(missing, &fixture.path("merged"))
        .unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    let error = namespace
        .mount_overlay(fixture.overlay(false), &fixture.path("nowhere"))
        .unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let null = File::open("/dev/null").unwrap();
    let mut program = Program {
        arguments: vec!["/does/not/exist".into()],
        environment: Vec::new(),
        directory: "/".into(),
        stdin: null.as_fd(),
        stdout: null.as_fd(),
        stderr: null.as_fd(),
        pass: Vec::new(),
    };
    let error = namespace.spawn(&program).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot start /does/not/exist: "),
        "{error}"
    );
    program.arguments.clear();
    assert!(matches!(namespace.spawn(&program), Err(Error::Invalid(_))));
    namespace.close();
    namespace.close();
    assert!(matches!(
        namespace.unmount(Path::new("/")),
        Err(Error::Closed)
    ));
}

#[test]
fn a_program_gets_its_descriptors_and_a_session() {
    let Some(namespace) = namespace() else { return };
    let mut file = tempfile::tempfile().unwrap();
    let other = tempfile::tempfile().unwrap();
    let null = File::open("/dev/null").unwrap();
    // By path: a shell may take descriptors of one digit only.
    let number = file.as_raw_fd();
    let script = format!(
        "echo $A > /proc/self/fd/{number}; [ -e /proc/self/fd/{} ] && exit 3; \
         [ $(ps -o sid= -p $$) = $$ ] || exit 4; exit 7",
        other.as_raw_fd()
    );
    let program = Program {
        arguments: vec!["sh".into(), "-c".into(), script.into()],
        environment: vec![
            ("A".into(), "value".into()),
            ("PATH".into(), "/usr/bin:/bin".into()),
        ],
        directory: "/".into(),
        stdin: null.as_fd(),
        stdout: null.as_fd(),
        stderr: null.as_fd(),
        pass: vec![file.as_fd()],
    };
    assert_eq!(wait(namespace.spawn(&program).unwrap()), 7);
    let mut text = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "value\n");
    file.write_all(b"still open").unwrap();
}

#[test]
fn threads_may_share_it() {
    let Some(namespace) = namespace() else { return };
    let fixture = Fixture::new();
    namespace
        .mount_overlay(fixture.overlay(true), &fixture.path("merged"))
        .unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (namespace, fixture) = (&namespace, &fixture);
            scope.spawn(move || {
                let script = format!("echo {number} > n{number}");
                assert_eq!(run(namespace, &fixture.path("merged"), &script).1, 0);
            });
        }
    });
    for number in 0..4 {
        assert!(fixture.path(&format!("upper/n{number}")).exists());
    }
}
