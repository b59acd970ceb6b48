//! Where the cases that nobody here wrote are found.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The cases in `dockerignore/<name>` of the corpus; `None`, with a printed reason, where there
/// is no corpus. Continuous integration must have one.
pub fn cases(name: &str) -> Option<Value> {
    let root = match std::env::var_os("FASTLAYER_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
    };
    let path = root.join("dockerignore").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("the corpus is JSON")),
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI needs {}: {error}",
                path.display()
            );
            eprintln!("skipped: no {}", path.display());
            None
        }
    }
}

/// The strings of a JSON list; none where it is missing.
pub fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|item| item.as_str().expect("a string").to_owned())
        .collect()
}
