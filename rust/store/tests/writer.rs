//! Layers of our own: files from disk, from the store and from memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use fastlayer_fs::Directory;
use fastlayer_store::{
    Adoption, ContentId, DiffId, Error, FileSource, IngestOptions, LayerInfo, LayerReader,
    LayerWriter, PathSource, Store, WriterOptions,
};
use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header, padding};
use support::{TestStore, pseudo_random};

const SIZES: [usize; 8] = [0, 1, 4096, 4097, 200_000, 524_288, 524_289, 3_000_000];

fn content(size: usize) -> Vec<u8> {
    pseudo_random(size, size as u64)
}

fn entry(name: &str, size: usize) -> Entry {
    let mut entry = Entry::new(name, EntryKind::File);
    entry.mode = 0o4755;
    entry.size = size as u64;
    entry.mtime.seconds = 1_600_000_000;
    entry
}

/// The tar that the writer must make.
fn expected() -> Vec<u8> {
    let mut tar = Vec::new();
    for size in SIZES {
        let name = format!("f{size}");
        encode_header(&entry(&name, size), &mut tar).unwrap();
        tar.extend_from_slice(&content(size));
        tar.resize(tar.len() + padding(size as u64), 0);
    }
    tar.extend_from_slice(&TRAILER);
    tar
}

fn write(store: &Store, source: impl Fn(&str, usize) -> FileSource) -> Result<LayerInfo, Error> {
    let mut writer = LayerWriter::new(store, WriterOptions::default())?;
    for size in SIZES {
        let name = format!("f{size}");
        writer.file(&entry(&name, size), source(&name, size))?;
    }
    writer.finish_canonical()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for size in SIZES {
        fs::write(folder.path().join(format!("f{size}")), content(size)).unwrap();
    }
    folder
}

fn path_source(directory: &Arc<Directory>, name: &str, adoption: Adoption) -> FileSource {
    FileSource::Path(PathSource {
        directory: Arc::clone(directory),
        path: name.into(),
        expected: directory.stat_child(name.as_bytes()).unwrap(),
        content: None,
        adoption,
        report: None,
    })
}

fn object_path(store: &Store, bytes: &[u8]) -> std::path::PathBuf {
    let hex = ContentId::of(bytes).hex();
    store.path().join("objects").join(&hex[..2]).join(&hex[2..])
}

#[test]
fn all_sources_give_the_same_layer() {
    let folder = folder();
    let directory = Arc::new(Directory::open(folder.path()).unwrap());
    let store = TestStore::new();
    let tar = expected();
    let info = write(&store, |_, size| FileSource::Bytes(content(size))).unwrap();
    assert_eq!(info.diff_id, DiffId::of(&tar));

    let other = TestStore::new();
    let copied = write(&other, |name, _| {
        path_source(&directory, name, Adoption::Copy)
    })
    .unwrap();
    assert_eq!((copied.diff_id, copied.size), (info.diff_id, info.size));

    let reader = Arc::new(LayerReader::open(&other, &info.diff_id).unwrap());
    let index = other.tree_index(&info.diff_id).unwrap();
    let again = write(&other, |name, _| {
        let row = index.get(name.as_bytes()).unwrap().unwrap();
        reader.source(&row).unwrap()
    });
    assert_eq!(again.unwrap().added_bytes, 0);

    let come_in = TestStore::new()
        .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
        .unwrap();
    assert_eq!(come_in.diff_id, info.diff_id);
}

#[test]
fn an_object_is_born_with_the_metadata_of_its_file() {
    let store = TestStore::new();
    write(&store, |_, size| FileSource::Bytes(content(size))).unwrap();
    for size in [4097, 3_000_000] {
        let metadata = fs::metadata(object_path(&store, &content(size))).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o4755);
        assert_eq!(metadata.mtime(), 1_600_000_000);
        assert_eq!(metadata.len(), size as u64);
    }
}

#[test]
fn adopted_files_become_objects_without_being_copied() {
    let store = TestStore::new();
    let folder = tempfile::tempdir_in(store.path().parent().unwrap()).unwrap();
    for size in SIZES {
        fs::write(folder.path().join(format!("f{size}")), content(size)).unwrap();
    }
    let directory = Arc::new(Directory::open(folder.path()).unwrap());
    let info = write(&store, |name, _| {
        path_source(&directory, name, Adoption::Link)
    })
    .unwrap();
    assert_eq!(info.diff_id, DiffId::of(&expected()));
    for size in [4097, 524_289] {
        let adopted = fs::metadata(object_path(&store, &content(size))).unwrap();
        let original = fs::metadata(folder.path().join(format!("f{size}"))).unwrap();
        assert_eq!(adopted.ino(), original.ino());
    }
}

#[test]
fn a_file_that_changes_is_an_error_and_leaves_no_layer() {
    for change in [
        (|path: &Path| fs::write(path, "shorter").unwrap()) as fn(&Path),
        |path| fs::write(path, pseudo_random(4_000_000, 5)).unwrap(),
        |path| fs::write(path, pseudo_random(3_000_000, 6)).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ] {
        let folder = folder();
        let directory = Arc::new(Directory::open(folder.path()).unwrap());
        let store = TestStore::new();
        let sources: Vec<FileSource> = SIZES
            .iter()
            .map(|size| path_source(&directory, &format!("f{size}"), Adoption::Copy))
            .collect();
        change(&folder.path().join("f3000000"));
        let result = write(&store, |_, size| {
            let number = SIZES.iter().position(|known| *known == size).unwrap();
            sources[number].clone()
        });
        assert!(
            matches!(result, Err(Error::Source { .. } | Error::Io { .. })),
            "{result:?}"
        );
        assert!(store.layers().unwrap().is_empty());
    }
}

#[test]
fn a_source_of_another_size_is_refused() {
    let store = TestStore::new();
    let mut writer = LayerWriter::new(&store, WriterOptions::default()).unwrap();
    let result = writer.file(&entry("f", 5), FileSource::Bytes(b"four".to_vec()));
    assert!(matches!(result, Err(Error::Source { .. })));
}

#[test]
fn a_missing_object_ends_the_layer_with_its_name() {
    let store = TestStore::new();
    let id = ContentId::of(b"nowhere");
    let mut writer = LayerWriter::new(&store, WriterOptions::default()).unwrap();
    writer
        .file(&entry("f", 9000), FileSource::Object(id))
        .unwrap();
    let error = writer.finish_canonical().unwrap_err();
    assert!(error.to_string().contains(&id.hex()), "{error}");
}

#[test]
fn many_files_take_bounded_memory_and_keep_their_order() {
    let store = TestStore::new();
    let mut tar = Vec::new();
    let mut writer = LayerWriter::new(&store, WriterOptions::default()).unwrap();
    for number in 0..3000_usize {
        let size = (number * 7919) % 30_000;
        let entry = entry(&format!("d/{number:05}"), size);
        encode_header(&entry, &mut tar).unwrap();
        tar.extend_from_slice(&content(size));
        tar.resize(tar.len() + padding(size as u64), 0);
        writer
            .file(&entry, FileSource::Bytes(content(size)))
            .unwrap();
    }
    tar.extend_from_slice(&TRAILER);
    assert_eq!(writer.finish_canonical().unwrap().diff_id, DiffId::of(&tar));
}

#[test]
fn a_blob_is_taken_in_once_by_whoever_comes_first() {
    let store = TestStore::new();
    let tar = expected();
    let options = IngestOptions {
        blob_digest: Some(fastlayer_store::BlobDigest::of(&tar)),
        diff_id: Some(DiffId::of(&tar)),
        ..IngestOptions::default()
    };
    let added: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (store, options, tar) = (&*store, options.clone(), tar.as_slice());
                scope.spawn(move || store.ingest(tar, options, &mut |_| {}).unwrap().added_bytes)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        added.iter().filter(|added| **added > 0).count(),
        1,
        "{added:?}"
    );
}

#[test]
fn a_writer_can_be_dropped_inside_a_large_content() {
    let store = TestStore::new();
    for pieces in [0, 1, 30] {
        let mut writer = LayerWriter::new(&store, WriterOptions::default()).unwrap();
        let entry = entry("large", 50_000_000);
        let mut header = Vec::new();
        encode_header(&entry, &mut header).unwrap();
        writer.entry(&entry, &header).unwrap();
        for _ in 0..pieces {
            writer.content(&content(300_000)).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(writer);
    }
    assert!(store.layers().unwrap().is_empty());
}

/// Objects that lie where only durable ones do.
fn durable_objects(store: &Store) -> usize {
    let shards = fs::read_dir(store.path().join("objects")).unwrap();
    shards
        .map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count())
        .sum()
}

#[test]
fn the_objects_of_a_large_layer_become_durable_before_it_ends() {
    const SIZE: usize = 30 << 20;
    let store = TestStore::new();
    let mut writer = LayerWriter::new(&store, WriterOptions::default()).unwrap();
    for number in 0..5_u8 {
        let entry = entry(&format!("f{number}"), SIZE);
        let mut header = Vec::new();
        encode_header(&entry, &mut header).unwrap();
        writer.entry(&entry, &header).unwrap();
        let mut content = vec![0; SIZE];
        content[0] = number;
        writer.content(&content).unwrap();
    }
    let started = std::time::Instant::now();
    while durable_objects(&store) == 0 {
        assert!(started.elapsed().as_secs() < 60, "nothing is durable yet");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    writer.finish_canonical().unwrap();
    assert_eq!(durable_objects(&store), 5);
}
