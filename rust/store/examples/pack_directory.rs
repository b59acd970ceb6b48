//! Packs a directory into a layer and tells how long it took: for profiling the layer writer.
//!
//! `pack_directory STORE DIRECTORY [sync]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fastlayer_fs::{Directory, Kind, Metadata};
use fastlayer_store::{
    Adoption, Durability, FileSource, LayerWriter, PathSource, Store, WriterOptions,
};
use fastlayer_tar::{Entry, EntryKind, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, root, source, rest @ ..] = arguments.as_slice() else {
        return Err("usage: pack_directory STORE DIRECTORY [sync]".into());
    };
    let store = Store::open(Path::new(root), true)?;
    let start = Instant::now();
    let options = WriterOptions {
        durability: Durability::Deferred,
        ..WriterOptions::default()
    };
    let mut writer = LayerWriter::new(&store, options)?;
    let root = Arc::new(Directory::open(source)?);
    pack(&mut writer, &root, &root.try_clone()?, b"")?;
    println!("handed over after {:?}", start.elapsed());
    let info = writer.finish_canonical()?;
    println!("{info:?} after {:?}", start.elapsed());
    if rest.first().is_some_and(|word| word == "sync") {
        store.sync()?;
        println!("on disk after {:?}", start.elapsed());
    }
    Ok(())
}

fn pack(
    writer: &mut LayerWriter,
    root: &Arc<Directory>,
    directory: &Directory,
    path: &[u8],
) -> Result<(), Box<dyn Error>> {
    for child in directory.entries()?.iter() {
        let found = directory.stat_child(child.name)?;
        let mut full = path.to_vec();
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(child.name);
        let kind = match found.kind {
            Kind::File => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink,
            _ => continue,
        };
        let mut entry = entry(full, kind, &found);
        match found.kind {
            Kind::File => {
                entry.size = found.size;
                let source = FileSource::Path(PathSource {
                    directory: Arc::clone(root),
                    path: entry.path.clone(),
                    expected: found,
                    content: None,
                    adoption: Adoption::Copy,
                    report: None,
                });
                writer.file(&entry, source)?;
            }
            Kind::Symlink => {
                entry.link = directory.read_link(child.name)?;
                writer.other(&entry)?;
            }
            _ => {
                writer.other(&entry)?;
                let below = directory.open_child(child.name)?;
                pack(writer, root, &below, &entry.path)?;
            }
        }
    }
    Ok(())
}

fn entry(path: Vec<u8>, kind: EntryKind, found: &Metadata) -> Entry {
    let mut entry = Entry::new(path, kind);
    entry.mode = found.mode;
    entry.uid = found.uid;
    entry.gid = found.gid;
    entry.mtime = Timestamp::from_seconds(found.mtime.seconds);
    entry
}
