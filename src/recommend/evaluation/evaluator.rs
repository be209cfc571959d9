//! Every user's ranking by one method, measured: takes a method and the truth, gives tables of metrics by segment.
//!
//! Called by `evaluate` for each method.

use rayon::prelude::*;

use super::ground_truth::Truth;
use super::lists::{Lists, diversity, novelty};
use super::methods::Method;
use super::metrics::Judge;
use super::per_user::PerUser;
use super::{Column, Metric};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::components::Stop;

/// Users that one task ranks.
const TASK: usize = 32;

/// What all methods are measured with.
pub(crate) struct Ground<'a> {
    pub(crate) truth: &'a Truth,
    /// Users x goods: what is left out.
    pub(crate) had: &'a Csr,
    /// Goods that nobody has ever taken, ascending.
    pub(crate) new: &'a [u32],
    /// For each good whether it is one of them.
    pub(crate) is_new: &'a [bool],
    /// For each good how rarely it was taken.
    pub(crate) information: &'a [f64],
    /// Goods x dimensions, of length one.
    pub(crate) vectors: &'a Matrix,
    /// Where lists are cut.
    pub(crate) cuts: &'a [usize],
    pub(crate) seed: u64,
    /// Whether there are goods with a history, so that all can be ranked together.
    pub(crate) rank_all: bool,
}

/// A segment of what users took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    New,
    Warm,
    All,
}

impl Segment {
    pub(crate) const ALL: [Self; 3] = [Self::All, Self::New, Self::Warm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Warm => "warm",
            Self::All => "all",
        }
    }
}

/// A method's metrics.
pub(crate) struct Judged {
    /// Of the new goods ranked among themselves.
    pub(crate) new: PerUser,
    pub(crate) new_lists: Lists,
    /// Of all goods ranked together, by [`Segment::ALL`].
    pub(crate) all: Vec<PerUser>,
    pub(crate) all_lists: Lists,
    /// Recall at the first cut among new goods by weeks since their launch: user, week, recall.
    pub(crate) weeks: Vec<(u32, usize, f64)>,
}

impl Ground<'_> {
    /// The columns of the tables.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns = Judge::new(self.cuts, self.seed).columns();
        for metric in [Metric::Novelty, Metric::Diversity] {
            columns.extend(self.cuts.iter().map(|k| Column { metric, k: Some(*k) }));
        }
        columns
    }

    /// Measures a method. `shift` is added to what it says of new goods; `all` ranks all goods together too. `None` if `stop`
    /// said so.
    pub(crate) fn judge(&self, method: &Method<'_>, shift: f32, all: bool, stop: Stop<'_>) -> Option<Judged> {
        let users = self.truth.taken.rows();
        let takers = (0..users).filter(|user| !self.truth.taken.row(*user).0.is_empty()).collect::<Vec<_>>();
        let parts = takers.par_chunks(TASK).map(|users| {
            let mut bench = Bench::new(self, shift, all && self.rank_all);
            for user in users {
                if stop() {
                    return None;
                }
                bench.add(method, *user);
            }
            Some(bench.judged)
        });
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let mut whole = Bench::new(self, 0.0, false).judged;
        for part in parts {
            whole.new.append(part.new);
            whole.new_lists.append(&part.new_lists);
            whole.all.iter_mut().zip(part.all).for_each(|(all, part)| all.append(part));
            whole.all_lists.append(&part.all_lists);
            whole.weeks.extend(part.weeks);
        }
        Some(whole)
    }

    /// What a method shows each of these users, whatever they took: the first of all goods, or of the new ones where there are
    /// no others. `None` if `stop` said so.
    pub(crate) fn lists(
        &self,
        method: &Method<'_>,
        shift: f32,
        users: &[u32],
        stop: Stop<'_>,
    ) -> Option<Vec<Vec<u32>>> {
        let list = |bench: &mut Bench<'_>, user: &u32| {
            let user = *user as usize;
            if stop() {
                return None;
            }
            if !method.row_into(user, &mut bench.room, &mut bench.row) {
                return Some(Vec::new());
            }
            if self.rank_all {
                bench.rank_everything(user);
                return Some(bench.judge.top().to_vec());
            }
            bench.rank_new(user);
            Some(bench.top_of_new())
        };
        users.par_iter().map_init(|| Bench::new(self, shift, self.rank_all), list).collect()
    }
}

/// One thread's work.
struct Bench<'a> {
    ground: &'a Ground<'a>,
    shift: f32,
    rank_all: bool,
    judge: Judge,
    row: Vec<f32>,
    room: Vec<f32>,
    new_row: Vec<f32>,
    values: Vec<f64>,
    judged: Judged,
}

impl<'a> Bench<'a> {
    fn new(ground: &'a Ground<'a>, shift: f32, rank_all: bool) -> Self {
        let width = ground.columns().len();
        let judged = Judged {
            new: PerUser::new(width),
            new_lists: Lists::default(),
            all: Segment::ALL.iter().map(|_| PerUser::new(width)).collect(),
            all_lists: Lists::default(),
            weeks: Vec::new(),
        };
        Self {
            ground,
            shift,
            rank_all,
            judge: Judge::new(ground.cuts, ground.seed),
            row: vec![0.0; ground.is_new.len()],
            room: Vec::new(),
            new_row: Vec::with_capacity(ground.new.len()),
            values: vec![f64::NAN; width],
            judged,
        }
    }

    fn add(&mut self, method: &Method<'_>, user: usize) {
        if !method.row_into(user, &mut self.room, &mut self.row) {
            return;
        }
        let ground = self.ground;
        let (taken, _) = ground.truth.taken.row(user);
        let (new, warm): (Vec<u32>, Vec<u32>) = taken.iter().partition(|item| ground.is_new[**item as usize]);
        if !new.is_empty() {
            self.rank_new(user);
            let place = |item: &u32| ground.new.binary_search(item).unwrap_or_default() as u32;
            let places = new.iter().map(place).collect::<Vec<_>>();
            self.measure(&places, &[]);
            let top = self.top_of_new();
            self.describe(&top);
            self.judged.new.push(user as u32, &self.values);
            self.judged.new_lists.push(self.judge.top());
            self.weeks(user, &places);
        }
        if self.rank_all {
            self.rank_everything(user);
            let top = self.judge.top().to_vec();
            for (segment, table) in Segment::ALL.into_iter().zip(0..) {
                let (relevant, others): (&[u32], &[u32]) = match segment {
                    Segment::All => (taken, &[]),
                    Segment::New => (&new, &warm),
                    Segment::Warm => (&warm, &new),
                };
                if relevant.is_empty() {
                    continue;
                }
                self.measure(relevant, others);
                self.describe(&top);
                self.judged.all[table].push(user as u32, &self.values);
            }
            self.judged.all_lists.push(&top);
        }
    }

    /// Ranks the new goods among themselves.
    fn rank_new(&mut self, user: usize) {
        self.new_row.clear();
        self.new_row.extend(self.ground.new.iter().map(|item| self.row[*item as usize]));
        self.judge.rank(user as u64, &self.new_row, &[]);
    }

    /// The first of them.
    fn top_of_new(&self) -> Vec<u32> {
        self.judge.top().iter().map(|place| self.ground.new[*place as usize]).collect()
    }

    /// Ranks all goods together, the new ones shifted.
    fn rank_everything(&mut self, user: usize) {
        for item in self.ground.new {
            self.row[*item as usize] += self.shift;
        }
        self.judge.rank(user as u64, &self.row, self.ground.had.row(user).0);
    }

    fn measure(&mut self, relevant: &[u32], others: &[u32]) {
        self.values.fill(f64::NAN);
        let width = self.values.len() - 2 * self.ground.cuts.len();
        self.judge.measure(relevant, others, &mut self.values[..width]);
    }

    /// Novelty and diversity of the list.
    fn describe(&mut self, top: &[u32]) {
        let cuts = self.ground.cuts;
        let first = self.values.len() - 2 * cuts.len();
        for (place, k) in cuts.iter().enumerate() {
            let list = &top[..top.len().min(*k)];
            self.values[first + place] = novelty(list, self.ground.information);
            self.values[first + cuts.len() + place] = diversity(list, self.ground.vectors);
        }
    }

    /// Recall of what was taken in each week since its launch.
    fn weeks(&mut self, user: usize, places: &[u32]) {
        let ground = self.ground;
        let (items, weeks) = ground.truth.weeks.row(user);
        let week_of = |place: u32| {
            let item = ground.new[place as usize];
            items.binary_search(&item).map_or(0, |at| weeks[at] as usize - 1)
        };
        let mut all = places.iter().map(|place| week_of(*place)).collect::<Vec<_>>();
        all.sort_unstable();
        all.dedup();
        let (mut of_week, mut others) = (Vec::new(), Vec::new());
        for week in all {
            of_week.clear();
            others.clear();
            places
                .iter()
                .for_each(|place| if week_of(*place) == week { of_week.push(*place) } else { others.push(*place) });
            self.measure(&of_week, &others);
            self.judged.weeks.push((user as u32, week, self.values[0]));
        }
    }
}
