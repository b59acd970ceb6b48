//! A tree index of any bytes is read or found damaged: never an endless walk, and never a file
//! outside of the directory that a tree is written to.

use std::fs;
use std::sync::atomic::AtomicBool;

use fastlayer_store::index::TreeIndex;
use fastlayer_store::tree::{TreeLayer, TreeView};
use fastlayer_store::tree_id::tree_id;
use fastlayer_store::{Progress, Store};

use crate::Property;
use crate::apply::Canary;
use crate::stored_layer::StoredLayer;
use crate::take::Take;

const MAGIC: &[u8; 8] = b"fl-tree\0";
const ROW: usize = 90;
/// Rows that a walk may take at most: as many as there are, for each layer of the view.
const LAYERS: usize = 2;
/// Largest tree that is written.
const WRITTEN: u64 = 1 << 20;

/// The reader of tree indexes. The input is an index, or its rows and heap.
pub struct TreeIndexReader {
    layer: StoredLayer,
    canary: Canary,
}

impl TreeIndexReader {
    /// A store whose layer's index can be replaced.
    pub fn new() -> Self {
        Self {
            layer: StoredLayer::new(),
            canary: Canary::new(),
        }
    }

    /// Uses the index as the store does: a tree that is written must stay where it belongs.
    fn write(&mut self, bytes: &[u8], index: &TreeIndex) {
        let total = index.iter().flatten().map(|row| row.size());
        if total.fold(0, u64::saturating_add) > WRITTEN {
            return;
        }
        // An open store reads an index once.
        let path = self.layer.store.path();
        let store = Store::open(path, false).expect("the store");
        let Some(diff_id) = store.layers().expect("layers").into_iter().next() else {
            return;
        };
        let path = store.path().join("trees").join(diff_id.hex());
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).expect("a file of the store");
        let root = self.canary.root();
        let _ = store.write_tree(
            &[diff_id],
            &root,
            &AtomicBool::new(false),
            &Progress::default(),
        );
        self.canary.check();
        let _ = fs::remove_file(&path);
    }
}

impl Default for TreeIndexReader {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for TreeIndexReader {
    fn check(&mut self, bytes: &[u8]) {
        let mut input = Take(bytes);
        let bytes = match input.byte() & 1 {
            0 => input.0.to_vec(),
            _ => assemble(&mut input),
        };
        let Ok(index) = TreeIndex::new(bytes.clone()) else {
            return;
        };
        read_rows(&index);
        walk(&index);
        self.write(&bytes, &index);
    }
}

/// An index whose header fits, with short numbers where an index has offsets.
fn assemble(input: &mut Take<'_>) -> Vec<u8> {
    let count = u32::from(input.byte() % 16) + 1;
    let flags = u32::from(input.byte());
    let mut rows = Vec::new();
    for number in 0..count {
        rows.extend(row(input, number, count));
    }
    let heap = input.0;
    let mut bytes = MAGIC.to_vec();
    for number in [2, 90, flags, count] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((heap.len() as u64).to_le_bytes());
    bytes.extend([0; 32]);
    bytes.extend(rows);
    bytes.extend(heap);
    bytes
}

fn row(input: &mut Take<'_>, number: u32, count: u32) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW);
    let lie = input.byte();
    row.extend(u32::from(input.byte()).to_le_bytes());
    // The root has no name.
    let length = u16::from(input.byte() % 8) * u16::from(number > 0);
    row.extend(length.to_le_bytes());
    let kind = if number == 0 { 2 } else { input.byte() % 10 };
    row.extend([kind, input.byte()]);
    // Mostly what fits somewhere: the row before or the root above it, an end behind it.
    let parent = match input.byte() % 8 {
        0..=3 => number.saturating_sub(1),
        4..=6 => 0,
        _ => u32::from(input.byte()),
    };
    let end = match (number, kind, lie & 1) {
        (0, ..) => count,
        (_, 2, _) => number + u32::from(input.byte() % 8),
        (.., 0) => u32::MAX,
        _ => u32::from(input.byte() % 8),
    };
    row.extend(parent.to_le_bytes());
    row.extend(end.to_le_bytes());
    row.extend(input.short().to_le_bytes());
    row.extend([0; 20]);
    row.extend(u64::from(input.byte()).to_le_bytes());
    row.extend(u64::from(input.short()).to_le_bytes());
    let xattrs = match lie & 2 {
        0 => u32::MAX,
        _ => u32::from(input.byte()),
    };
    row.extend(xattrs.to_le_bytes());
    // A target, or the first bytes of a content id.
    row.extend(u32::from(input.byte()).to_le_bytes());
    row.extend(u32::from(input.byte() % 16).to_le_bytes());
    row.extend([input.byte(); 24]);
    row
}

fn read_rows(index: &TreeIndex) {
    for row in index.iter().flatten() {
        let _ = (row.to_entry(), row.xattrs(), row.hardlink().map(drop));
        let _ = row.children().count();
        let Ok(path) = row.path() else { continue };
        let names = path.split(|byte| *byte == b'/');
        let is_root = path.is_empty() && row.number() == 0;
        assert!(is_root || names.into_iter().all(is_name), "no path");
        if let Ok(Some(found)) = index.get(&path) {
            assert_eq!(found.path(), Ok(path));
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&0)
}

/// A walk ends, and takes no more steps than there are rows.
fn walk(index: &TreeIndex) {
    let layer = TreeLayer {
        diff_id: StoredLayer::diff_id(),
        index: index.clone(),
    };
    let Ok(view) = TreeView::new(vec![layer.clone(), layer]) else {
        return;
    };
    let most = index.len() as usize * LAYERS + 1;
    if let Ok(walk) = view.walk() {
        let visits = walk.take(most + 1).take_while(Result::is_ok).count();
        assert!(visits <= most, "more paths than rows");
    }
    let _ = tree_id(&view);
    for row in index.iter().flatten() {
        let Ok(path) = row.path() else { continue };
        let _ = view.resolve(&path, true).map(drop);
        let _ = view.get(&path).map(drop);
    }
}
