//! The cache as a whole: what comes back, the bound on its size, damaged files, many at once, and a model behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use arrow::array::StringArray;
use debut_udfs::config::BatchTokens;
use debut_udfs::model::{Input, Job, Model, Output, Stats};
use futures::executor::block_on;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::inference::fixtures;

const WIDTH: usize = 24;
const MODEL: [u8; 32] = [1; 32];

/// A cache in `folder`, as another process would open it, and what it says.
fn open(folder: &Path, size: u64) -> (Arc<Cache>, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let settings = Settings { folder: folder.to_path_buf(), size: CacheSize::Bytes(size), memory: 1 << 20 };
    let tell = Arc::clone(&said);
    let cache = Cache::open(&settings, Arc::new(move |text: &str| tell.lock().unwrap().push(text.to_owned())));
    (cache.unwrap(), said)
}

fn key(n: u32) -> Key {
    *blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().unwrap()
}

/// Bits that no arithmetic would keep: signalling NaN, negative zero and subnormal numbers among them.
fn vector(n: u32) -> Vec<f32> {
    let odd = [0x7f80_0001, 0x8000_0000, 1, 0xffff_ffff];
    (0..WIDTH as u32)
        .map(|i| f32::from_bits(odd.get(i as usize).copied().unwrap_or(n.wrapping_mul(2_654_435_761) ^ i)))
        .collect()
}

fn write(cache: &Cache, numbers: impl Iterator<Item = u32> + Clone, now: u32) {
    let shelf = cache.shelf(MODEL, WIDTH, "m@1 on cpu");
    let batch = Batch {
        shelf,
        keys: numbers.clone().map(key).collect(),
        tokens: numbers.clone().collect(),
        values: numbers.flat_map(vector).collect(),
    };
    cache.shelves.write(&batch, now).unwrap();
}

/// The numbers that are found; each has the bits that were written.
fn found(cache: &Cache, numbers: impl Iterator<Item = u32>, now: u32) -> Vec<u32> {
    let numbers: Vec<u32> = numbers.collect();
    let keys: Vec<Key> = numbers.iter().copied().map(key).collect();
    let found = cache.shelf(MODEL, WIDTH, "m@1 on cpu").lookup(&keys, now);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let mut there = Vec::new();
    for (row, n) in numbers.into_iter().enumerate() {
        if !found.missing.contains(&(row as u32)) {
            assert_eq!(bits(&found.values[row * WIDTH..][..WIDTH]), bits(&vector(n)), "{n}");
            assert_eq!(found.tokens[row], n);
            there.push(n);
        }
    }
    there
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let of = |shelf: &PathBuf| fs::read_dir(shelf).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut all: Vec<PathBuf> = root::shelves(folder).iter().flat_map(of).collect();
    all.sort();
    all
}

#[test]
fn another_process_finds_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path(), 1 << 30);
    let (second, said) = open(folder.path(), 1 << 30);
    assert!(found(&second, 0..10, 1).is_empty() && files(folder.path()).is_empty());
    write(&first, 0..5000, 1);
    assert_eq!(found(&second, 0..6000, 1).len(), 5000);
    // Both append, each to a file of its own, and what is there already is not written twice.
    write(&second, 4000..7000, 1);
    assert_eq!(found(&first, 0..8000, 1).len(), 7000);
    assert_eq!(files(folder.path()).len(), 4);
    let record = (segment::record_bytes(WIDTH) + 16 + 8) as u64;
    assert!(root::used(folder.path()) < 7000 * record + 2000);
    drop((first, second));
    // What was left is taken on: many short processes do not make many files.
    for n in 0..20 {
        write(&open(folder.path(), 1 << 30).0, 7000 + n..7001 + n, 1);
    }
    assert_eq!(files(folder.path()).len(), 4);
    assert_eq!(found(&open(folder.path(), 1 << 30).0, 0..8000, 1).len(), 7020);
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn what_is_removed_is_gone_from_memory_too_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path(), 1 << 30);
    write(&cache, 0..100, 1);
    assert_eq!(found(&cache, 0..100, 1).len(), 100);
    fs::write(folder.path().join("mine.txt"), "mine").unwrap();
    info::clear(folder.path()).unwrap();
    assert!(found(&cache, 0..100, 1).is_empty() && root::shelves(folder.path()).is_empty());
    assert!(folder.path().join("mine.txt").exists());
    write(&cache, 0..100, 1);
    assert_eq!(found(&open(folder.path(), 1 << 30).0, 0..100, 1).len(), 100);
}

#[test]
fn the_size_is_bounded_and_what_is_used_stays() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let (cache, _) = open(folder.path(), limit);
    write(&cache, 0..1000, 1000);
    let mut next = 1000;
    for minute in 1..60 {
        let now = 1000 + minute * 60;
        write(&cache, next..next + 500, now);
        next += 500;
        assert!(root::used(folder.path()) <= limit, "{}", root::used(folder.path()));
        // Half of the first thousand is asked for again and again, by another process; it lies among the other half.
        let (other, _) = open(folder.path(), limit);
        assert_eq!(found(&other, (0..1000).step_by(2), now).len(), 500, "{minute}");
    }
    let (other, _) = open(folder.path(), limit);
    assert!(found(&other, (1..1000).step_by(2), 5000).is_empty());
    // What came last is there, what came first is not.
    assert_eq!(found(&other, next - 500..next, 5000).len(), 500);
    assert!(found(&other, 1000..3000, 5000).is_empty());
    // Less room: the next write makes do with it.
    drop((cache, other));
    let (small, _) = open(folder.path(), 256 << 10);
    write(&small, 0..10, 10_000);
    assert!(root::used(folder.path()) <= 256 << 10);
    assert_eq!(found(&small, 0..10, 10_000).len(), 10);
}

/// Files whose beginning is damaged belong to nobody: they are found by who looks for that model, and leave when room is needed.
#[test]
fn files_without_a_head_are_said_replaced_and_make_room() {
    let folder = tempfile::tempdir().unwrap();
    write(&open(folder.path(), 1 << 20).0, 0..50, 1);
    let old =
        files(folder.path()).into_iter().find(|path| path.extension().is_some_and(|end| end == "vectors")).unwrap();
    let file = fs::File::options().write(true).open(&old).unwrap();
    file.set_len(100).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    drop(file);
    let (cache, said) = open(folder.path(), 1 << 20);
    assert!(found(&cache, 0..50, 1).is_empty());
    assert!(said.lock().unwrap()[0].contains(old.to_str().unwrap()), "{said:?}");
    write(&cache, 0..50, 1);
    assert!(!old.exists());
    assert_eq!(found(&open(folder.path(), 1 << 20).0, 0..50, 1).len(), 50);
    // A model that nobody asks for any more, in files that cannot be read.
    let strange = folder.path().join("ab".repeat(32));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("000.vectors"), vec![7; 700 << 10]).unwrap();
    write(&cache, 1000..5000, 2);
    assert!(!strange.join("000.vectors").exists());
    assert!(root::used(folder.path()) <= 1 << 20);
}

#[test]
fn the_index_is_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    write(&open(folder.path(), 1 << 30).0, 0..20_000, 1);
    let settings = Settings { folder: folder.path().to_path_buf(), size: CacheSize::Bytes(1 << 30), memory: 400 << 10 };
    let cache = Cache::open(&settings, Arc::new(crate::fetch::silent)).unwrap();
    // One file is too large for 200 KiB: it is left out as a whole, and no answer is wrong.
    assert!(found(&cache, 0..20_000, 1).is_empty());
}

/// Damage to files, by parts of a thousand: which file, where, and what.
fn damage() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    prop::collection::vec((0usize..1000, 0usize..1000, 0u8..20), 1..12)
}

fn harm(files: &[PathBuf], (file, place, how): (usize, usize, u8)) {
    let path = &files[file * files.len() / 1000];
    let Ok(mut bytes) = fs::read(path) else { return };
    let at = place * bytes.len() / 1000;
    match how {
        0 => return fs::remove_file(path).unwrap(),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_slice(&[0; 100]),
        3 => bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
        bit if !bytes.is_empty() => bytes[at] ^= 1 << (bit % 8),
        _ => {}
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens to the files: what is found is right, what is not is written again, and then all is well.
    #[test]
    fn damaged_files_give_no_wrong_vector_and_heal(damage in damage(), live in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = open(folder.path(), 1 << 30);
        let (second, _) = open(folder.path(), 1 << 30);
        for n in 0..10 {
            write(&first, n * 20..n * 20 + 20, 1);
            write(&second, 200 + n * 3..203 + n * 3, 1);
        }
        if live {
            found(&first, 0..230, 1);
            cache_forgets(&first);
        } else {
            drop((first, second));
        }
        let files = files(folder.path());
        for harmed in damage {
            harm(&files, harmed);
        }
        // Processes that had the files open before, or that open them now.
        let (reader, said) = open(folder.path(), 1 << 30);
        found(&reader, 0..230, 1);
        cache_forgets(&reader);
        write(&reader, 0..230, 1);
        prop_assert_eq!(found(&reader, 0..230, 1).len(), 230);
        let said = said.lock().unwrap().clone();
        let mut once = said.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), said.len(), "{:?}", said);
        drop(reader);
        let (healed, said) = open(folder.path(), 1 << 30);
        prop_assert_eq!(found(&healed, 0..230, 1).len(), 230);
        prop_assert!(live || said.lock().unwrap().is_empty(), "{:?}", said);
    }
}

/// Leaves the disk as the only place to look.
fn cache_forgets(cache: &Cache) {
    cache.shelves.memory.clear();
}

#[test]
fn many_at_once_in_a_small_cache_give_no_wrong_vector() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 512 << 10;
    thread::scope(|scope| {
        for worker in 0..6u32 {
            let folder = folder.path();
            scope.spawn(move || {
                for round in 0..12u32 {
                    let (cache, said) = open(folder, limit);
                    for step in 0..4 {
                        let start = (worker * 37 + round * 101 + step * 53) % 4000;
                        let now = 1000 + round * 60;
                        let there = found(&cache, start..start + 300, now);
                        write(&cache, (start..start + 300).filter(|n| !there.contains(n)), now);
                        if step == 2 {
                            cache_forgets(&cache);
                        }
                    }
                    assert!(said.lock().unwrap().is_empty(), "{:?}", said.lock().unwrap());
                }
            });
        }
    });
    // Each may have been about to write a batch of 300.
    assert!(root::used(folder.path()) < limit + 6 * 300 * 200, "{}", root::used(folder.path()));
}

#[test]
fn a_folder_that_cannot_be_written_is_said_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("file");
    fs::write(&folder, "in the way").unwrap();
    let (cache, said) = open(&folder, 1 << 30);
    for n in 0..3 {
        let shelf = cache.shelf(MODEL, WIDTH, "m@1 on cpu");
        cache.keep(Batch { shelf, keys: vec![key(n)], tokens: vec![n], values: vector(n) });
        cache.flush();
    }
    // In memory they are.
    assert_eq!(found(&cache, 0..4, 1), [0, 1, 2]);
    let said = said.lock().unwrap();
    let writes: Vec<_> = said.iter().filter(|text| text.contains("cannot be written")).collect();
    assert!(writes.len() == 1 && writes[0].contains("queries go on without it"), "{said:?}");
    assert_eq!(fs::read_to_string(&folder).unwrap(), "in the way");
}

/// A model behind a cache, and how often it was opened.
struct Behind {
    cache: Arc<Cache>,
    opened: Arc<AtomicUsize>,
    _home: TempDir,
    folder: PathBuf,
}

impl Behind {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("cache");
        let (cache, _) = open(&folder, 1 << 30);
        Self { cache, opened: Arc::default(), _home: home, folder }
    }

    fn model(&self, identity: u8) -> CachedModel {
        let opened = Arc::clone(&self.opened);
        let loaded = Arc::new(fixtures::open("onnx-last-hidden"));
        let info = loaded.info().clone();
        CachedModel::new(info, "cpu".into(), Arc::clone(&self.cache), [identity; 32], move || {
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::clone(&loaded))
        })
    }
}

fn run(model: &dyn Model, texts: &[&str], prompt: &str) -> (Output, Arc<Stats>) {
    let stats = Arc::new(Stats::of_rows(texts.len()));
    let input = Input::Texts(StringArray::from(texts.to_vec()));
    let job = Job { input, prompt: prompt.into(), max_batch_tokens: BatchTokens::Auto, stats: Arc::clone(&stats) };
    (block_on(model.run(job)).unwrap(), stats)
}

fn counts(stats: &Stats) -> [u64; 3] {
    [&stats.cache_hits, &stats.cache_misses, &stats.rows].map(|counter| counter.load(Ordering::Relaxed))
}

#[test]
fn only_what_is_new_is_run_and_the_model_is_opened_for_nothing_else() {
    let behind = Behind::new();
    let model = behind.model(1);
    let (first, stats) = run(&model, &["red mug", "lamp"], "");
    assert_eq!((counts(&stats), behind.opened.load(Ordering::Relaxed)), ([0, 2, 2], 1));
    let direct = run(&fixtures::open("onnx-last-hidden"), &["red mug", "lamp"], "");
    assert_eq!(first.values, direct.0.values);
    // Another order, and something new between.
    let (second, stats) = run(&model, &["lamp", "a wooden chair", "red mug"], "");
    assert_eq!(counts(&stats), [2, 1, 1]);
    assert_eq!(second.values[..32], first.values[32..]);
    assert_eq!(second.values[64..], first.values[..32]);
    let lengths = |stats: &Stats| stats.row_tokens.iter().map(|n| n.load(Ordering::Relaxed)).collect::<Vec<_>>();
    // Rows that were found know their tokens.
    assert_eq!(
        lengths(&stats),
        lengths(&run(&fixtures::open("onnx-last-hidden"), &["lamp", "a wooden chair", "red mug"], "").1)
    );
    let opened = behind.opened.load(Ordering::Relaxed);
    let (third, stats) = run(&model, &["red mug", "lamp"], "");
    assert_eq!((counts(&stats), third.values), ([2, 0, 0], first.values));
    assert_eq!(behind.opened.load(Ordering::Relaxed), opened);
    // A prompt, and a model that is not the same, are misses.
    assert_eq!(counts(&run(&model, &["red mug"], "query: ").1), [0, 1, 1]);
    assert_eq!(counts(&run(&behind.model(2), &["red mug"], "").1), [0, 1, 1]);
    behind.cache.flush();
    let kept = info::kept(&behind.folder).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.vectors).collect::<Vec<_>>(), [4, 1]);
    assert!(kept.iter().all(|kept| kept.dimension == Some(32)), "{kept:?}");
}

#[test]
fn no_rows_and_rows_of_the_wrong_kind_are_the_models() {
    let behind = Behind::new();
    let model = behind.model(1);
    assert!(run(&model, &[], "").0.values.is_empty());
    let pairs = Input::Pairs(StringArray::from(vec!["a"]), StringArray::from(vec!["b"]));
    let job = Job { input: pairs, prompt: String::new(), max_batch_tokens: BatchTokens::Auto, stats: Arc::default() };
    assert!(block_on(model.run(job)).unwrap_err().to_string().contains("embedding model"));
    assert!(!behind.folder.exists());
}
