//! A recipe of any bytes is read or found damaged; it never takes more memory than its limits say,
//! and a layer that is read has the bytes that its recipe announces.

use fastlayer_store::digest::checksum;

use crate::Property;
use crate::stored_layer::{StoredLayer, frame};
use crate::take::Take;

/// The reader of recipes. The input is a recipe after its DiffID, or the parts of one.
pub struct RecipeReader {
    layer: StoredLayer,
}

impl RecipeReader {
    /// A store to put recipes in.
    pub fn new() -> Self {
        Self {
            layer: StoredLayer::new(),
        }
    }
}

impl Default for RecipeReader {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for RecipeReader {
    fn check(&mut self, bytes: &[u8]) {
        let mut input = Take(bytes);
        let mut recipe = b"FLRECIPE\x01\0\0\0".to_vec();
        if input.byte() & 1 == 0 {
            recipe.extend(input.byte().to_le_bytes());
            recipe.extend([0; 3]);
            recipe.extend(StoredLayer::diff_id().as_bytes());
            recipe.extend(input.0);
        } else {
            self.assemble(&mut input, &mut recipe);
        }
        let sum = checksum(&recipe);
        recipe.extend(sum);
        self.layer.put_recipe(&recipe);
        self.layer.read();
    }
}

impl RecipeReader {
    /// Appends the rest of a recipe whose parts fit, most of the time.
    fn assemble(&self, input: &mut Take<'_>, recipe: &mut Vec<u8>) {
        let flags = u32::from(input.byte() & 1);
        let lies = input.byte();
        let count = usize::from(input.byte() % 8);
        let heap_length = usize::from(input.short());
        let rows: Vec<Row> = (0..count)
            .map(|_| self.row(input, heap_length as u64))
            .collect();
        let heap: Vec<u8> = (0..heap_length).map(|at| at.to_le_bytes()[0]).collect();
        let stored = frame(&heap);
        let sum = rows
            .iter()
            .fold(0_u64, |sum, row| sum.wrapping_add(row.length));
        let size = if lies & 1 == 0 { sum } else { input.number() };
        recipe.extend(flags.to_le_bytes());
        recipe.extend(StoredLayer::diff_id().as_bytes());
        recipe.extend(size.to_le_bytes());
        for _ in 0..3 {
            recipe.extend(input.number().to_le_bytes());
        }
        let reason: &[u8] = if flags == 0 { b"" } else { b"odd" };
        let lists = [
            self.layer.objects.len(),
            self.layer.segments.len(),
            rows.len(),
        ];
        for length in lists.into_iter().chain([reason.len()]) {
            recipe.extend(small(length).to_le_bytes());
        }
        recipe.extend((stored.len() as u64).to_le_bytes());
        recipe.extend((heap.len() as u64).to_le_bytes());
        recipe.extend(reason);
        for (id, _) in &self.layer.objects {
            recipe.extend(id);
        }
        for id in &self.layer.segments {
            recipe.extend(id);
        }
        for row in rows {
            recipe.extend(row.kind.to_le_bytes());
            recipe.extend(row.index.to_le_bytes());
            recipe.extend(row.offset.to_le_bytes());
            recipe.extend(row.length.to_le_bytes());
        }
        recipe.extend(stored);
    }

    fn row(&self, input: &mut Take<'_>, heap: u64) -> Row {
        let kind = u32::from(input.byte() % 4);
        let index = u32::from(input.byte() % 4);
        let (offset, length) = (input.number(), input.number());
        let object = usize::try_from(index).ok();
        let object = object.and_then(|index| self.layer.objects.get(index));
        match (kind, object, input.byte() & 1) {
            // The whole of an object.
            (1, Some((_, content)), 0) => Row::new(kind, index, 0, content.len() as u64),
            // All of the heap.
            (2, _, 0) => Row::new(kind, 0, 0, heap),
            _ => Row::new(kind, index, offset, length),
        }
    }
}

struct Row {
    kind: u32,
    index: u32,
    offset: u64,
    length: u64,
}

impl Row {
    fn new(kind: u32, index: u32, offset: u64, length: u64) -> Self {
        Self {
            kind,
            index,
            offset,
            length,
        }
    }
}

fn small(length: usize) -> u32 {
    u32::try_from(length).expect("a short list")
}
