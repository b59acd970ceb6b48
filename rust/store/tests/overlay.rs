//! Checkouts and diffs against the kernel: what overlayfs shows must be what the indexes say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod fixture;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use fastlayer_store::compare::ChangeKind;
use fixture::live::{BASE, SCRIPTS, can_mount};
use fixture::mounts::Overlay;
use fixture::options;

#[test]
fn every_change_is_what_overlayfs_shows() {
    if !can_mount() {
        return;
    }
    for adopt in [false, true] {
        let mut overlay = Overlay::new(&[BASE]);
        overlay.check_mount("the base");
        // Nothing changed but that it is no longer one file with the other name.
        overlay.run(": >> etc/passwd", adopt);
        for script in SCRIPTS {
            overlay.run(script, adopt);
        }
    }
}

#[test]
fn nothing_done_is_an_empty_layer() {
    if !can_mount() {
        return;
    }
    let mut overlay = Overlay::new(&[BASE]);
    // Opened for writing, copied up, and left as they were.
    overlay.run(": >> etc/hosts; : >> bin/su; chmod 755 bin/sh", true);
    assert_eq!(overlay.entries(), Vec::<String>::new());
    let empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    assert_eq!(overlay.chain[1].to_string(), empty);
}

#[test]
fn entries_are_no_more_than_needed() {
    if !can_mount() {
        return;
    }
    let mut overlay = Overlay::new(&[BASE]);
    let (upper, _) = overlay.mount(
        "echo x > etc/hosts; rm bin/su; rm -r var/lib; mkdir var/lib; mkdir fresh; : >> bin/sh",
    );
    let changes = overlay
        .fixture
        .store
        .changes(&overlay.chain, &upper, &AtomicBool::new(false));
    let lines: Vec<String> = changes
        .unwrap()
        .into_iter()
        .map(|change| {
            let letter = match change.kind {
                ChangeKind::Added => "A",
                ChangeKind::Changed => "C",
                ChangeKind::Deleted => "D",
            };
            format!("{letter} {}", String::from_utf8(change.path).unwrap())
        })
        .collect();
    let expected = [
        "C bin",
        "D bin/su",
        "C etc",
        "C etc/hosts",
        "A fresh",
        "C var",
        "C var/lib",
        "D var/lib/a",
        "D var/lib/sub",
    ];
    assert_eq!(lines, expected);
    let info = overlay
        .fixture
        .store
        .diff_upper(&overlay.chain, &upper, true, &options())
        .unwrap();
    overlay.chain.push(info.diff_id);
    let expected = [
        "Directory bin",
        "Whiteout bin/su",
        "Directory etc",
        "File etc/hosts",
        "Directory fresh",
        "Directory var",
        "Directory var/lib opaque",
    ];
    assert_eq!(overlay.entries(), expected);
}

#[test]
fn two_paths_of_one_mount_never_share_an_inode() {
    if !can_mount() {
        return;
    }
    let big = "z".repeat(6000);
    let file = |path: &str| format!("f {path} {big}");
    let lower = [file("one"), file("two"), "h linked one".to_owned()];
    let upper = [file("three"), "d d".to_owned(), file("d/four")];
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    let mut overlay = Overlay::new(&[&lower, &upper]);
    overlay.check_mount("files of one content");
    let lowers = overlay.lowers().directories;
    assert_eq!(lowers.len(), 3, "a directory of copies is on top");
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    assert_eq!(
        inode(&lowers[2].join("one")),
        inode(&lowers[2].join("linked"))
    );
    overlay.run("rm one three; chmod 600 d/four; cp two five", true);
}

#[test]
fn foreign_layers_are_laid_out_as_they_unpack() {
    if !can_mount() {
        return;
    }
    let base: &[&str] = &[
        "d usr",
        "d750 usr/lib",
        "f usr/lib/old o",
        "l lib usr/lib",
        "f a a",
        "d k",
    ];
    for top in [
        &["f lib/new n", "w lib/.wh.old", "h b a", "f x/y/z 1"][..],
        &["f k/one 1", "w .wh.k", "f k/two 2"],
        &["d k", "f k/x 1", "w k/.wh..wh..opq", "w k/.wh.gone"],
        &["f lib is a file now"],
        &["d lib", "f lib/own 1"],
        &["w .wh.usr"],
    ] {
        let mut overlay = Overlay::new(&[base, top]);
        overlay.check_mount(&format!("{top:?}"));
        overlay.run("echo more > more; ls -R > listing", true);
    }
}

#[test]
fn overlay_features_that_scatter_a_file_are_refused() {
    if !can_mount() {
        return;
    }
    let mut overlay = Overlay::new(&[BASE]);
    let (upper, _) = overlay.mount("echo x > etc/x");
    let set = Command::new("setfattr")
        .args(["-n", "trusted.overlay.redirect", "-v", "/elsewhere"])
        .arg(upper.join("etc"))
        .status();
    if !set.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must have setfattr");
        eprintln!("skipped: no setfattr");
        return;
    }
    let error = overlay
        .fixture
        .store
        .diff_upper(&overlay.chain, &upper, true, &options());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("etc: ") && error.contains("redirect"),
        "{error}"
    );
    assert!(upper.exists());
}

#[test]
fn a_name_that_means_a_deletion_is_refused() {
    if !can_mount() {
        return;
    }
    let mut overlay = Overlay::new(&[BASE]);
    let (upper, _) = overlay.mount("echo x > etc/.wh.hosts");
    for adopt in [false, true] {
        let error = overlay
            .fixture
            .store
            .diff_upper(&overlay.chain, &upper, adopt, &options());
        assert!(error.unwrap_err().to_string().contains("etc/.wh.hosts"));
        assert!(upper.exists());
    }
}
