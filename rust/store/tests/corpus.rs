//! Real and hostile archives that nobody here wrote: each comes out bit for bit or is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fastlayer_store::decompress::decompress;
use fastlayer_store::{DiffId, Error, IngestOptions};
use support::TestStore;

/// The folder of archives; `None`, with a word why, where there is none. CI must have it.
fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("FASTLAYER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let folder = root.join("tars");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing: set FASTLAYER_CORPUS",
        folder.display()
    );
    eprintln!(
        "skipped: {} is missing; set FASTLAYER_CORPUS",
        folder.display()
    );
    None
}

/// Each archive's path and what a correct reader must do with it.
fn archives(folder: &Path) -> Vec<(PathBuf, String)> {
    let table = fs::read_to_string(folder.join("SOURCES.tsv")).unwrap();
    table
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            (
                folder.join(columns[0]),
                columns[columns.len() - 1].to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_archive_comes_out_bit_for_bit_or_is_refused() {
    let Some(folder) = folder() else { return };
    let (mut whole, mut raw, mut refused) = (0, Vec::new(), Vec::new());
    for (path, expectation) in archives(&folder) {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let bytes = fs::read(&path).unwrap();
        let store = TestStore::new();
        let result = store.ingest(Cursor::new(&bytes), IngestOptions::default(), &mut |_| {});
        let info = match result {
            Ok(info) => info,
            Err(Error::TarFormat { .. } | Error::Format { .. } | Error::Limit { .. }) => {
                assert!(store.layers().unwrap().is_empty(), "{name}");
                refused.push((name, expectation));
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let mut plain = Vec::new();
        decompress(Cursor::new(&bytes), &mut plain).unwrap();
        assert_eq!(info.diff_id, DiffId::of(&plain), "{name}");
        let mut output = Vec::new();
        let cancel = AtomicBool::new(false);
        store
            .write_tar(&info.diff_id, &mut output, &cancel)
            .unwrap();
        assert!(output == plain, "{name} came out changed");
        // Reading the holes of the largest sparse files again and again takes its time.
        if info.content_size < 1 << 30 {
            assert!(
                store.fsck(&cancel, &mut |_| {}).unwrap().is_empty(),
                "{name}"
            );
        }
        match info.raw_reason {
            Some(reason) => raw.push((name, expectation, reason)),
            None => {
                // Some are wrong as images only.
                let wrong = expectation.starts_with("REJECT:") && !expectation.contains("manifest");
                assert!(!wrong, "{name}: {expectation}");
                whole += 1;
            }
        }
    }
    for (name, expectation) in &refused {
        eprintln!("refused {name}: {expectation}");
    }
    for (name, expectation, reason) in &raw {
        eprintln!("raw {name}: {reason}: {expectation}");
    }
    eprintln!(
        "{whole} whole, {} raw, {} refused",
        raw.len(),
        refused.len()
    );
    assert!(whole > 90, "only {whole} archives are understood");
}
