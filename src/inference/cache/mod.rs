//! Vectors that were computed before: takes a model's jobs, runs the rows that are new and gives the others from memory or disk.
//!
//! # Layout, in the order that a job's data flows
//! - `cached`: [`CachedModel`], a model that looks before it runs; opens the model when the first row is missing
//! - `identity`, `key`: what a vector is found by: everything about the model that changes it, the prompt, the content
//! - `shelf`: the vectors of one model: `memory` before disk; `index`: where each is on disk
//! - `segment`: a file of vectors, and a checksum for each; `appender`: who appends to it; `stamps`: when each was used
//! - `root`, `evict`: the folder, how large it may be, and what leaves first
//! - `info`: what is in it
//!
//! # Promises
//! - A vector comes back bit by bit as the model gave it, or not at all: a checksum covers its key, its tokens and its values.
//!   A vector may differ in its last bits by the rows that ran beside it; what was computed first stays.
//! - Any number of processes may share a folder. Each appends to a file of its own; reading needs no lock.
//! - A process may die at any moment: what is not whole at the end of a file is not seen. Nothing is flushed to the disk: what a
//!   loss of power leaves is what the checksums say.
//! - Trouble with the cache fails no query: it is said once, and vectors are computed.

mod appender;
mod cached;
mod evict;
pub(crate) mod identity;
mod index;
pub(crate) mod info;
mod key;
mod memory;
mod root;
mod segment;
mod shelf;
mod stamps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use debut_udfs::config::{CacheSize, DebutConfig};

pub(crate) use cached::CachedModel;
use key::Key;
use memory::Memory;
use root::Root;
use segment::Header;
use shelf::Shelf;

use crate::fetch::Progress;
use crate::home::Home;

/// Bytes that wait to be written; what comes while there are more is not kept on disk.
const MOST_WAITING: usize = 64 << 20;
/// The part of the memory that goes to the index of what is on disk; vectors get the rest.
const INDEX_SHARE: u64 = 2;

/// Where a cache is and how large it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) folder: PathBuf,
    pub(crate) size: CacheSize,
    pub(crate) memory: u64,
}

impl Settings {
    /// Those of a session, whose default folder is in `home`; `None` if its cache is off.
    pub(crate) fn of(config: &DebutConfig, home: &Home) -> Option<Self> {
        config.cache.is_on().then(|| Self {
            folder: folder(config, home),
            size: config.cache_size,
            memory: config.cache_memory.0,
        })
    }
}

/// The folder of the cache under `config`.
pub(crate) fn folder(config: &DebutConfig, home: &Home) -> PathBuf {
    if config.cache_folder.is_empty() { home.cache() } else { PathBuf::from(&config.cache_folder) }
}

/// A cache of vectors. Dropping it waits until all is written.
#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Arc<Shelves>,
    tasks: Option<Sender<Task>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread that writes shares with those who look up.
#[derive(Debug)]
struct Shelves {
    root: Arc<Root>,
    memory: Arc<Memory>,
    index_bytes: u64,
    open: Mutex<HashMap<[u8; 32], Arc<Shelf>>>,
}

/// Work for the thread that writes.
enum Task {
    Write(Batch),
    Flush(Sender<()>),
}

/// New vectors.
struct Batch {
    shelf: Arc<Shelf>,
    keys: Vec<Key>,
    tokens: Vec<u32>,
    values: Vec<f32>,
}

/// The caches of this process that are in use.
static OPEN: Mutex<Vec<Weak<Cache>>> = Mutex::new(Vec::new());

/// Waits until all that this process has to write is written.
pub(crate) fn flush_all() {
    let open: Vec<_> = OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    open.iter().for_each(|cache| cache.flush());
}

impl Cache {
    /// The cache in a folder, which is made at the first write; `tell` hears of trouble.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub(crate) fn open(settings: &Settings, tell: Arc<Progress<'static>>) -> io::Result<Arc<Self>> {
        let Settings { folder, size, memory } = settings;
        let index_bytes = memory / INDEX_SHARE;
        let shelves = Arc::new(Shelves {
            root: Arc::new(Root::new(folder.clone(), *size, tell)),
            memory: Arc::new(Memory::new(memory - index_bytes)),
            index_bytes,
            open: Mutex::default(),
        });
        let (tasks, queue) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let thread = thread::Builder::new().name("debut-cache".to_owned()).spawn({
            let (shelves, waiting) = (Arc::clone(&shelves), Arc::clone(&waiting));
            move || shelves.serve(&queue, &waiting)
        })?;
        let cache = Arc::new(Self { shelves, tasks: Some(tasks), waiting, thread: Some(thread) });
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|cache| cache.strong_count() > 0);
        open.push(Arc::downgrade(&cache));
        Ok(cache)
    }

    /// The vectors of the model with this identity, called `model`, of `width` numbers each.
    pub(crate) fn shelf(&self, identity: [u8; 32], width: usize, model: &str) -> Arc<Shelf> {
        self.shelves.get(Header { width, identity, model: model.to_owned() })
    }

    /// Keeps new vectors: in memory now, on disk soon.
    fn keep(&self, batch: Batch) {
        let width = batch.shelf.width();
        for ((key, tokens), values) in batch.keys.iter().zip(&batch.tokens).zip(batch.values.chunks_exact(width)) {
            self.shelves.memory.insert(*key, *tokens, values);
        }
        let bytes = batch.bytes();
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) > MOST_WAITING {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            tracing::debug!("{} vectors are not kept: the disk is slower than the model", batch.keys.len());
        } else if let Some(tasks) = &self.tasks {
            // It ends after all who send.
            let _ = tasks.send(Task::Write(batch));
        }
    }

    /// Waits until all is written.
    pub(crate) fn flush(&self) {
        let (done, finished) = mpsc::channel();
        if let Some(tasks) = &self.tasks
            && tasks.send(Task::Flush(done)).is_ok()
        {
            let _ = finished.recv();
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the cache had panicked");
        }
    }
}

impl Batch {
    fn bytes(&self) -> usize {
        self.keys.len() * (size_of::<Key>() + size_of::<u32>()) + size_of_val(&*self.values)
    }
}

impl Shelves {
    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Shelf>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, header: Header) -> Arc<Shelf> {
        let new = |header: Header| {
            Arc::new(Shelf::new(Arc::clone(&self.root), Arc::clone(&self.memory), self.index_bytes, header))
        };
        Arc::clone(self.open().entry(header.identity).or_insert_with(|| new(header)))
    }

    fn serve(&self, queue: &Receiver<Task>, waiting: &AtomicUsize) {
        while let Ok(task) = queue.recv() {
            match task {
                Task::Write(batch) => {
                    if !self.root.is_paused()
                        && let Err(error) = self.write(&batch, root::now())
                    {
                        self.root.pause(&error);
                    }
                    waiting.fetch_sub(batch.bytes(), Ordering::Relaxed);
                }
                // Who asked may have gone.
                Task::Flush(done) => drop(done.send(())),
            }
        }
    }

    /// Writes new vectors, and before that makes room for them.
    ///
    /// # Errors
    /// The file system's.
    fn write(&self, batch: &Batch, now: u32) -> io::Result<()> {
        let limit = self.root.limit(root::used(self.root.path()));
        let width = batch.shelf.width();
        // So few at a time that even a small cache holds the last of many.
        let row = (batch.bytes() / batch.keys.len().max(1)).max(1) as u64;
        let rows = usize::try_from(limit / 8 / row).unwrap_or(usize::MAX).max(1);
        let parts = batch.keys.chunks(rows).zip(batch.tokens.chunks(rows));
        for ((keys, tokens), values) in parts.zip(batch.values.chunks(rows.saturating_mul(width))) {
            let largest = root::largest_segment(limit);
            if self.make_room(keys.len() as u64 * row, limit, largest)? {
                batch.shelf.append(keys, tokens, values, largest, now)?;
            } else {
                tracing::debug!("{} vectors are not kept: the cache is full", keys.len());
            }
        }
        Ok(())
    }

    /// Whether `bytes` may be written, once what was used least recently has left.
    ///
    /// # Errors
    /// The file system's.
    fn make_room(&self, bytes: u64, limit: u64, largest: u64) -> io::Result<bool> {
        let mut used = root::used(self.root.path());
        // A file that is written anew is there twice for a moment.
        let most = limit.saturating_sub(largest);
        if used + bytes > most {
            // More leaves than this asks for: files are not written anew for each batch.
            let target = (most / 4 * 3).min(most.saturating_sub(bytes));
            if !evict::evict(&self.root, &self.everything(), target, largest)? {
                tracing::debug!("another process makes room in the cache");
            }
            used = root::used(self.root.path());
        }
        Ok(used + bytes <= limit)
    }

    /// The shelves of all models on disk.
    fn everything(&self) -> Vec<Arc<Shelf>> {
        root::shelves(self.root.path()).iter().filter_map(|folder| self.found(folder)).collect()
    }

    /// The shelf in `folder`; `None` if no file says what is in it: then there is nothing to be read either.
    fn found(&self, folder: &Path) -> Option<Arc<Shelf>> {
        let names = root::segments(folder).ok()?;
        let headers = names.iter().filter_map(|(name, _)| Header::read(&File::open(folder.join(name)).ok()?).ok()?);
        let header = headers.into_iter().next()?;
        // A folder under another name than its files say would be looked for elsewhere.
        let name = root::folder_name(&header.identity);
        if folder.file_name().is_some_and(|folder| folder == name.as_str()) {
            return Some(self.get(header));
        }
        None
    }
}
