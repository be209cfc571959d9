//! Each distinct row once: the rows that the models of a plan node have seen, with their results, in bounded memory.
//!
//! Takes the rows of a query's batches in order; gives ids whose values can be read once their window is done.
//!
//! Bytes may be large and are told apart by their digest: what the memo holds of a picture are 32 bytes and its values.
//!
//! Rows live in generations. When the current generation is full a new one begins; a row found in the generation before
//! moves on with its values, and what was not asked for during a whole generation is forgotten.

use std::collections::VecDeque;

use datafusion::common::Result;
use debut_udfs::distinct::Distinct;
use debut_udfs::inference::failure_of;
use debut_udfs::model::{Input, InputKind, Output};

/// Bytes of rows and values that a generation may hold before the next begins.
const GENERATION_BYTES: usize = 32 << 20;

/// A row: its parts, the second empty where there is none, and which of them are there.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Both parts.
    pub parts: (&'a [u8], &'a [u8]),
    /// One that is not there is empty.
    pub present: [bool; 2],
}

impl<'a> Row<'a> {
    /// A row that is whole.
    pub fn whole(first: &'a [u8], second: &'a [u8]) -> Self {
        Self { parts: (first, second), present: [true; 2] }
    }

    /// What it is known by: its parts, but of bytes the BLAKE3 digest, which is written to `digest`, and beside a text which
    /// of the two are there.
    pub(super) fn known_by(self, kind: InputKind, digest: &'a mut [u8; 32]) -> (&'a [u8], &'a [u8]) {
        let (first, second) = self.parts;
        match kind {
            InputKind::Texts | InputKind::Pairs => (first, second),
            InputKind::Bytes => {
                *digest = *blake3::hash(first).as_bytes();
                (digest, second)
            }
            InputKind::TextAndBytes => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&self.present.map(u8::from)).update(second);
                *digest = *hasher.finalize().as_bytes();
                (first, digest)
            }
        }
    }
}

/// The rows seen, by generation.
#[derive(Debug)]
pub struct Memo {
    width: usize,
    kind: InputKind,
    first: usize,
    generations: VecDeque<Generation>,
}

#[derive(Debug, Default)]
struct Generation {
    rows: Distinct,
    /// `rows x width`, as far as computed: a window's rows are complete when the window is done.
    values: Vec<f32>,
    /// Ascending by row.
    failures: Vec<(usize, String)>,
}

/// The rows that one window added to its generation.
#[derive(Debug)]
pub struct Added {
    generation: usize,
    /// Ids whose values the model has to compute.
    fresh: Vec<u32>,
    /// Ids whose values are copied from the generation before: (new, old).
    moved: Vec<(u32, u32)>,
}

impl Added {
    /// Number of rows the model has to compute.
    pub fn fresh(&self) -> usize {
        self.fresh.len()
    }
}

impl Memo {
    /// An empty memo of rows of `kind`, with `width` values each.
    pub fn new(width: usize, kind: InputKind) -> Self {
        Self { width, kind, first: 0, generations: VecDeque::from([Generation::default()]) }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.generations.iter().map(Generation::memory).sum()
    }

    /// Begins a window; rows are added to it until it is run.
    pub fn begin(&mut self) -> Added {
        let full = self.generations.back().is_some_and(|last| last.planned_memory(self.width) > GENERATION_BYTES);
        if full {
            self.generations.push_back(Generation::default());
        }
        Added { generation: self.last(), fresh: Vec::new(), moved: Vec::new() }
    }

    fn last(&self) -> usize {
        self.first + self.generations.len() - 1
    }

    /// What the rows are.
    pub fn kind(&self) -> InputKind {
        self.kind
    }

    /// The id of a row within the window's generation.
    pub fn add(&mut self, window: &mut Added, row: Row<'_>) -> u32 {
        let at = window.generation - self.first;
        let mut digest = [0; 32];
        let (first, second) = row.known_by(self.kind, &mut digest);
        let (id, is_new) = self.generations[at].rows.insert(first, second);
        if is_new {
            let before = at.checked_sub(1).and_then(|at| self.generations[at].rows.get(first, second));
            match before {
                Some(old) => window.moved.push((id, old)),
                None => window.fresh.push(id),
            }
        }
        id
    }

    /// What the model has to compute for a window of texts or pairs. Bytes are not in the memo.
    ///
    /// # Errors
    /// The rows are not of the memo's kind, or hold more than 2 GiB.
    pub fn input(&self, window: &Added) -> Result<Input> {
        self.generations[window.generation - self.first].rows.input(&window.fresh, self.kind)
    }

    /// Takes the model's output for a window. Windows are completed in the order in which they began.
    pub fn complete(&mut self, window: &Added, output: Output) {
        let at = window.generation - self.first;
        let width = self.width;
        let mut current = std::mem::take(&mut self.generations[at]);
        let rows = window.fresh.len() + window.moved.len();
        current.values.resize(current.values.len() + rows * width, 0.0);
        for (position, &id) in window.fresh.iter().enumerate() {
            let values = &output.values[position * width..][..width];
            current.values[id as usize * width..][..width].copy_from_slice(values);
        }
        current.failures.extend(output.failures.into_iter().map(|(row, why)| (window.fresh[row] as usize, why)));
        if let Some(before) = at.checked_sub(1).map(|at| &self.generations[at]) {
            for &(new, old) in &window.moved {
                current.values[new as usize * width..][..width].copy_from_slice(before.values(old, width));
                if let Some(why) = failure_of(&before.failures, old as usize) {
                    current.failures.push((new as usize, why.to_string()));
                }
            }
        }
        current.failures.sort_unstable_by_key(|(row, _)| *row);
        self.generations[at] = current;
    }

    /// The values of a row of a completed window.
    pub fn values(&self, window: &Added, id: u32) -> &[f32] {
        self.generations[window.generation - self.first].values(id, self.width)
    }

    /// Why a row of a completed window has no values.
    pub fn failure(&self, window: &Added, id: u32) -> Option<&str> {
        failure_of(&self.generations[window.generation - self.first].failures, id as usize)
    }

    /// Forgets the generations that neither `oldest`, the first window still in use, nor a later one reads.
    pub fn forget_before(&mut self, oldest: Option<&Added>) {
        let keep_from = oldest.map_or_else(|| self.last(), |window| window.generation).saturating_sub(1);
        while self.first < keep_from {
            self.generations.pop_front();
            self.first += 1;
        }
    }
}

impl Generation {
    fn values(&self, id: u32, width: usize) -> &[f32] {
        &self.values[id as usize * width..][..width]
    }

    fn memory(&self) -> usize {
        self.rows.memory() + self.values.capacity() * size_of::<f32>()
    }

    /// Bytes when all rows will have their values.
    fn planned_memory(&self, width: usize) -> usize {
        self.rows.memory() + self.rows.len() * width * size_of::<f32>()
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A "model" whose value for a text is the number in it.
    fn run(memo: &mut Memo, window: &Added) {
        let Input::Texts(texts) = memo.input(window).unwrap() else { panic!("single texts") };
        let values = texts.iter().flatten().map(|text| text.parse::<f32>().unwrap_or(-1.0)).collect();
        memo.complete(window, Output { values, failures: vec![] });
    }

    #[test]
    fn rows_are_computed_once_and_move_on_with_their_values() {
        let mut memo = Memo::new(1, InputKind::Texts);
        let mut first = memo.begin();
        let ids: Vec<u32> =
            ["1", "2", "1"].iter().map(|text| memo.add(&mut first, Row::whole(text.as_bytes(), b""))).collect();
        assert_eq!((ids.as_slice(), first.fresh()), ([0, 1, 0].as_slice(), 2));

        // A window that begins before the first is done knows its rows already.
        let mut second = memo.begin();
        let again = memo.add(&mut second, Row::whole(b"2", b""));
        assert_eq!(second.fresh(), 0);
        run(&mut memo, &first);
        run(&mut memo, &second);
        assert_eq!(memo.values(&second, again), [2.0]);

        memo.generations.push_back(Generation::default());
        let mut third = memo.begin();
        let (moved, fresh) = (memo.add(&mut third, Row::whole(b"1", b"")), memo.add(&mut third, Row::whole(b"3", b"")));
        assert_eq!(third.fresh(), 1);
        run(&mut memo, &third);
        assert_eq!((memo.values(&third, moved), memo.values(&third, fresh)), ([1.0].as_slice(), [3.0].as_slice()));

        memo.generations.push_back(Generation::default());
        memo.forget_before(None);
        let mut fourth = memo.begin();
        memo.add(&mut fourth, Row::whole(b"1", b""));
        memo.add(&mut fourth, Row::whole(b"2", b""));
        assert_eq!(fourth.fresh(), 1, "1 was used in the generation before, 2 was not");
    }

    #[test]
    fn what_is_missing_is_not_what_is_empty() {
        let mut memo = Memo::new(1, InputKind::TextAndBytes);
        let mut window = memo.begin();
        let rows: [(&[u8], &[u8], [bool; 2]); 4] =
            [(b"a", b"b", [true; 2]), (b"a", b"", [true; 2]), (b"a", b"", [true, false]), (b"", b"b", [false, true])];
        let mut ids = rows.map(|(a, b, present)| memo.add(&mut window, Row { parts: (a, b), present })).to_vec();
        ids.push(memo.add(&mut window, Row { parts: (b"", b"b"), present: [true; 2] }));
        ids.push(memo.add(&mut window, Row::whole(b"a", b"b")));
        assert_eq!((ids.as_slice(), window.fresh()), ([0, 1, 2, 3, 4, 0].as_slice(), 5));
    }

    #[test]
    fn a_failure_moves_on_with_its_row() {
        let mut memo = Memo::new(1, InputKind::Texts);
        let mut first = memo.begin();
        memo.add(&mut first, Row::whole(b"a", b""));
        memo.complete(&first, Output { values: vec![0.0], failures: vec![(0, "why".to_string())] });
        memo.generations.push_back(Generation::default());
        let mut second = memo.begin();
        let id = memo.add(&mut second, Row::whole(b"a", b""));
        memo.complete(&second, Output::default());
        assert_eq!(memo.failure(&second, id), Some("why"));
    }
}
