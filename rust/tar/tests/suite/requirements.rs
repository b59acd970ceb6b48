//! What a test needs from the machine, and what happens when it is not there: the test says why it
//! did nothing, or fails where the environment variable `CI` is set.

use std::path::{Path, PathBuf};

/// The folder of real archives: `$FASTLAYER_CORPUS/tars`, else beside the repository.
pub fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("FASTLAYER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let tars = root.join("tars");
    if tars.is_dir() {
        return Some(tars);
    }
    missing(&format!("no test data at {}", tars.display()));
    None
}

/// Whether a program can be run.
pub fn program(name: &str) -> bool {
    let found = std::process::Command::new(name)
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        missing(&format!("no program {name}"));
    }
    found
}

/// Say that a test is left out.
pub fn missing(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value.is_empty()),
        "{reason} (CI is set: nothing may be skipped)"
    );
    eprintln!("skipped: {reason}");
}
