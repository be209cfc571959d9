//! The best items of every user against the product of the factors alone, and, where it is installed, against faiss.
//!
//! Ranks 20,000 items for 100,000 users by 64 factors, k = 20; prints the time, the share of the peak, which is the same
//! library's product of the same factors in the block shape that is fastest, and the memory. Run by
//! `cargo bench --bench ranking`; with `shapes` behind it, it prints what each block shape gives instead. With
//! `DEBUT_PEERS_PYTHON` (a Python that has faiss-cpu) it runs `IndexFlatIP` on the same factors in between.

use std::hint::black_box;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use debut::linalg::dense::{Matrix, product_into};
use debut::random::Random;
use debut::recommend::ranking::{BlockScores, FactorScores, TopK, top_k};
use rayon::prelude::*;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USERS: usize = 100_000;
const ITEMS: usize = 20_000;
const FACTORS: usize = 64;
const K: usize = 20;
const ROUNDS: usize = 3;

/// A multiplication and an addition for each factor of each pair.
const FLOP: f64 = 2.0 * (USERS * ITEMS * FACTORS) as f64;

/// Block shapes that are tried, users x items.
const SHAPES: [(usize, usize); 10] = [
    (64, 512),
    (128, 256),
    (128, 512),
    (256, 256),
    (512, 64),
    (512, 128),
    (512, 256),
    (512, 512),
    (1024, 64),
    (1024, 128),
];

fn main() -> Result<()> {
    let mut random = Random::new(1, 0);
    let mut factors = |rows: usize| {
        let values = (0..rows * FACTORS).map(|_| random.normal() as f32).collect();
        Matrix::new(rows, FACTORS, values)
    };
    let (users, items) = (factors(USERS), factors(ITEMS));
    let scores = FactorScores { users: &users, items: &items };
    println!("{USERS} users x {ITEMS} items, {FACTORS} factors, k = {K}, {} threads", rayon::current_num_threads());
    if std::env::args().any(|argument| argument == "shapes") {
        return shapes(&scores);
    }
    let folder = tempfile::tempdir()?;
    let peer = Faiss::from_env(folder.path(), &scores)?;
    let shape = fastest(&scores);
    println!("the peak's blocks: {} users x {} items", shape.0, shape.1);
    let before_all = most_memory();
    for _ in 0..ROUNDS {
        // A shared machine's speed drifts by the second: the peak is taken on both sides of what is compared with it.
        let before = product(&scores, USERS, shape);
        let (seconds, top) = ranked(&scores)?;
        let after = product(&scores, USERS, shape);
        let peak = (before + after) / 2.0;
        let rate = FLOP / seconds;
        println!(
            "debut {seconds:.2} s, {:.1} GFLOP/s: {:.1}% of the peak of {:.1} and {:.1} GFLOP/s, before and after",
            rate / 1e9,
            100.0 * rate / peak,
            before / 1e9,
            after / 1e9,
        );
        if let Some(peer) = &peer {
            let (theirs, same) = peer.run(&top)?;
            println!(
                "  {} {theirs:.2} s, {:.1}% of the peak: debut is {:.2} times as fast; {:.3}% of the items are the same",
                peer.name,
                100.0 * FLOP / theirs / peak,
                theirs / seconds,
                100.0 * same,
            );
        }
    }
    if let (Some(before), Some(after)) = (before_all, most_memory()) {
        println!("most resident memory: {before} MB with the factors and the peak's blocks, {after} MB after ranking");
        println!(
            "  (the scores would be {} MB, the lists are {} MB)",
            USERS * ITEMS * 4 / 1_000_000,
            USERS * K * 8 / 1_000_000
        );
    }
    Ok(())
}

fn ranked(scores: &dyn BlockScores) -> Result<(f64, TopK)> {
    let begun = Instant::now();
    let top = top_k(scores, K, None, &|| false)?;
    Ok((begun.elapsed().as_secs_f64(), top))
}

/// FLOP/s of the products of the first users, each written to a thread's block and dropped.
fn product(scores: &FactorScores<'_>, users: usize, (block_users, block_items): (usize, usize)) -> f64 {
    let begun = Instant::now();
    (0..users.div_ceil(block_users)).into_par_iter().for_each_init(
        || vec![0.0; block_users * block_items],
        |out, block| {
            let users = scores.users.view(block * block_users..users.min((block + 1) * block_users));
            for first in (0..ITEMS).step_by(block_items) {
                product_into(out, users, scores.items.view(first..ITEMS.min(first + block_items)));
                black_box(&out);
            }
        },
    );
    FLOP * users as f64 / USERS as f64 / begun.elapsed().as_secs_f64()
}

/// The shape whose product is fastest, by the best of three runs over a tenth of the users.
fn fastest(scores: &FactorScores<'_>) -> (usize, usize) {
    let mut best = (0.0, SHAPES[0]);
    for _ in 0..3 {
        for shape in SHAPES {
            let rate = product(scores, USERS / 10, shape);
            if rate > best.0 {
                best = (rate, shape);
            }
        }
    }
    best.1
}

/// The same factors in blocks of another shape.
struct Shaped<'a>(FactorScores<'a>, (usize, usize));

impl BlockScores for Shaped<'_> {
    fn users(&self) -> usize {
        self.0.users()
    }

    fn items(&self) -> usize {
        self.0.items()
    }

    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        self.0.scores_into(users, items, out);
    }

    fn block(&self) -> (usize, usize) {
        self.1
    }
}

/// Every block shape, the best of three rounds of each.
fn shapes(scores: &FactorScores<'_>) -> Result<()> {
    let mut best = SHAPES.map(|_| (0.0f64, 0.0f64));
    for _ in 0..ROUNDS {
        for (shape, best) in SHAPES.into_iter().zip(&mut best) {
            best.0 = best.0.max(product(scores, USERS, shape));
            best.1 = best.1.max(FLOP / ranked(&Shaped(*scores, shape))?.0);
        }
    }
    for ((users, items), (product, ranked)) in SHAPES.into_iter().zip(best) {
        println!("{users:5} x {items:4}: product {:.1}, ranked {:.1} GFLOP/s", product / 1e9, ranked / 1e9);
    }
    Ok(())
}

/// The most memory that this process has had resident, in megabytes, where the system says it.
fn most_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024 / 1_000_000)
}

/// The peer's script and what it needs.
struct Faiss {
    python: PathBuf,
    folder: PathBuf,
    name: String,
}

impl Faiss {
    /// Writes the factors for the peer, if there is a Python for it.
    fn from_env(folder: &Path, scores: &FactorScores<'_>) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os("DEBUT_PEERS_PYTHON").map(PathBuf::from) else {
            println!("no peer: DEBUT_PEERS_PYTHON is not set");
            return Ok(None);
        };
        let version = Command::new(&python).args(["-c", "import faiss; print(faiss.__version__)"]).output()?;
        if !version.status.success() {
            println!("no peer: the Python of DEBUT_PEERS_PYTHON has no faiss");
            return Ok(None);
        }
        for (name, factors) in [("users", scores.users), ("items", scores.items)] {
            let bytes = factors.values().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
            std::fs::write(folder.join(name), bytes)?;
        }
        let name = format!("faiss-cpu {} IndexFlatIP", String::from_utf8_lossy(&version.stdout).trim());
        Ok(Some(Self { python, folder: folder.to_path_buf(), name }))
    }

    /// The better of two searches in seconds, and the share of the items that it finds where `ours` has the same.
    fn run(&self, ours: &TopK) -> Result<(f64, f64)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/ranking.py");
        let found = self.folder.join("found");
        let output = Command::new(&self.python)
            .arg(script)
            .args([self.folder.join("users"), self.folder.join("items")])
            .args([FACTORS, K, rayon::current_num_threads(), 2].map(|number| number.to_string()))
            .arg(&found)
            .output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr)).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let seconds = text.lines().filter_map(|line| line.strip_prefix("seconds ")?.parse::<f64>().ok());
        let found = std::fs::read(found)?;
        let theirs = found.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect::<Vec<_>>();
        let same = theirs
            .chunks_exact(K)
            .enumerate()
            .map(|(user, theirs)| ours.row(user).0.iter().filter(|item| theirs.contains(&i64::from(**item))).count());
        Ok((seconds.fold(f64::INFINITY, f64::min), same.sum::<usize>() as f64 / theirs.len().max(1) as f64))
    }
}
