//! A segment of any bytes is expanded or found damaged; what is expanded is what its operations
//! say.

use fastlayer_store::digest::checksum;

use crate::Property;
use crate::stored_layer::{StoredLayer, frame};
use crate::take::Take;

/// The id of the segment that is put in place.
const ID: [u8; 32] = [0x33; 32];
/// Operations of one segment that are made here.
const OPERATIONS: usize = 32;
/// Tar bytes that a segment may stand for.
const LIMIT: usize = 4 << 20;

/// The reader of segments. The input is a segment, or operations.
pub struct SegmentReader {
    layer: StoredLayer,
}

impl SegmentReader {
    /// A store with a layer of one segment.
    pub fn new() -> Self {
        Self {
            layer: StoredLayer::new(),
        }
    }

    /// A recipe of nothing but the segment.
    fn recipe(&self, length: u64) -> Vec<u8> {
        let mut recipe = b"FLRECIPE\x01\0\0\0\0\0\0\0".to_vec();
        recipe.extend(StoredLayer::diff_id().as_bytes());
        recipe.extend(length.to_le_bytes());
        recipe.extend([0; 24]);
        for count in [0_u32, 1, 1, 0] {
            recipe.extend(count.to_le_bytes());
        }
        let heap = frame(b"");
        recipe.extend((heap.len() as u64).to_le_bytes());
        recipe.extend(0_u64.to_le_bytes());
        recipe.extend(ID);
        recipe.extend([0; 16]);
        recipe.extend(length.to_le_bytes());
        recipe.extend(heap);
        let sum = checksum(&recipe);
        recipe.extend(sum);
        recipe
    }

    fn segment(&self, length: u64, operations: &[u8]) -> Vec<u8> {
        let mut segment = b"FLSEGM01".to_vec();
        let count = u32::try_from(self.layer.objects.len()).expect("a short list");
        segment.extend(count.to_le_bytes());
        segment.extend([0; 4]);
        segment.extend(length.to_le_bytes());
        segment.extend((operations.len() as u64).to_le_bytes());
        for (id, _) in &self.layer.objects {
            segment.extend(id);
        }
        segment.extend(frame(operations));
        segment
    }

    /// Operations as any writer could have made them, and what they stand for; `None` where they
    /// stand for nothing.
    fn operations(&self, input: &mut Take<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut operations, mut plain) = (Vec::new(), Some(Vec::new()));
        for _ in 0..OPERATIONS {
            if input.is_empty() {
                break;
            }
            let expanded = self.operation(input, &mut operations);
            plain = match (plain, expanded) {
                (Some(mut plain), Some(more)) if plain.len() + more.len() <= LIMIT => {
                    plain.extend(more);
                    Some(plain)
                }
                _ => None,
            };
        }
        (operations, plain)
    }

    fn operation(&self, input: &mut Take<'_>, operations: &mut Vec<u8>) -> Option<Vec<u8>> {
        let (kind, lie) = (input.byte(), input.byte());
        match kind % 4 {
            0 => {
                let length = usize::from(input.byte());
                let bytes = input.bytes(length);
                write_number(operations, (bytes.len() as u64) << 2);
                operations.extend(bytes);
                (!bytes.is_empty()).then(|| bytes.to_vec())
            }
            1 => {
                let index = usize::from(input.byte() % 4);
                let content = self.layer.objects.get(index).map(|(_, content)| content);
                let length = match (content, lie & 1) {
                    (Some(content), 0) => content.len() as u64,
                    _ => input.number() >> 2,
                };
                write_number(operations, length << 2 | 1);
                write_number(operations, index as u64);
                content
                    .filter(|content| content.len() as u64 == length)
                    .cloned()
            }
            2 => {
                let length = input.number() >> 2;
                write_number(operations, length << 2 | 2);
                let length = usize::try_from(length).ok();
                let length = length.filter(|length| (1..=LIMIT).contains(length));
                length.map(|length| vec![0; length])
            }
            _ => {
                operations.extend(input.bytes(usize::from(lie % 16)));
                // They may happen to mean something.
                None
            }
        }
    }
}

impl Default for SegmentReader {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for SegmentReader {
    fn check(&mut self, bytes: &[u8]) {
        let mut input = Take(bytes);
        if input.byte() & 1 == 0 {
            let length = input.number();
            self.layer.put_segment(ID, input.0);
            self.layer.put_recipe(&self.recipe(length));
            self.layer.read();
            return;
        }
        let (operations, plain) = self.operations(&mut input);
        let length = plain.as_ref().map_or(1000, |plain| plain.len() as u64);
        self.layer
            .put_segment(ID, &self.segment(length, &operations));
        self.layer.put_recipe(&self.recipe(length));
        let found = self.layer.read();
        if plain.is_some() {
            assert_eq!(found, plain, "what the operations stand for");
        }
    }
}

/// Seven bits a byte, the lowest first.
fn write_number(output: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        output.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    output.push(number.to_le_bytes()[0]);
}
