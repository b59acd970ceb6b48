//! Archives made block by block, as no writer of ours would make them.

/// A header block with a correct checksum: ustar, mode 0644, no owner, then what `change` does.
pub fn header(type_flag: u8, name: &str, size: u64, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0; 512];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\x000000000\x000000000\x00");
    put(
        &mut block,
        124,
        format!("{size:011o}\x0000000000000\x00").as_bytes(),
    );
    block[156] = type_flag;
    put(&mut block, 257, b"ustar\x0000");
    change(&mut block);
    put(&mut block, 148, b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A member: header, data, padding.
pub fn member(type_flag: u8, name: &str, data: &[u8]) -> Vec<u8> {
    let header = header(type_flag, name, data.len() as u64, |_| {});
    [header, padded(data)].concat()
}

/// A PAX extended header with the given records.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    member(b'x', "PaxHeader", &self::records(records))
}

/// PAX records.
pub fn records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let body = key.len() + value.len() + 3;
        let length = (body + 1..).find(|length| body + length.to_string().len() == *length);
        data.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    data
}

/// Data filled up to the block.
pub fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(512), 0);
    data
}

/// Make a block one of GNU tar.
pub fn gnu(block: &mut [u8]) {
    put(block, 257, b"ustar  \0");
}

/// The map of an old GNU sparse file in its header.
pub fn gnu_sparse(block: &mut [u8], real_size: u64, pieces: &[(u64, u64)], is_extended: bool) {
    gnu(block);
    put_pieces(block, 386, pieces);
    block[482] = u8::from(is_extended);
    put(block, 483, format!("{real_size:011o}\0").as_bytes());
}

/// A further block of such a map.
pub fn gnu_sparse_block(pieces: &[(u64, u64)], is_extended: bool) -> Vec<u8> {
    let mut block = vec![0; 512];
    put_pieces(&mut block, 0, pieces);
    block[504] = u8::from(is_extended);
    block
}

fn put_pieces(block: &mut [u8], start: usize, pieces: &[(u64, u64)]) {
    for (index, (offset, length)) in pieces.iter().enumerate() {
        let piece = format!("{offset:011o}\0{length:011o}\0");
        put(block, start + 24 * index, piece.as_bytes());
    }
}

/// Overwrite part of a block.
pub fn put(block: &mut [u8], start: usize, text: &[u8]) {
    block[start..start + text.len()].copy_from_slice(text);
}
