//! Every user's ranking by one method, measured: takes a method and the truth, gives tables of metrics by segment.

use rayon::prelude::*;

use super::ground_truth::GroundTruth;
use super::lists::{Lists, diversity, novelty};
use super::methods::Method;
use super::metrics::Evaluator;
use super::per_user::PerUser;
use super::{Column, Metric};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;

/// Users that one task ranks.
const TASK: usize = 32;

/// What all methods are measured with.
pub(crate) struct EvaluationContext<'a> {
    pub(crate) ground_truth: &'a GroundTruth,
    /// Users x candidates: what is left out.
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
    /// Whether there are candidates with a history, so that all can be ranked together.
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
pub(crate) struct MethodMetrics {
    /// Of the new candidates ranked among themselves.
    pub(crate) new: PerUser,
    pub(crate) new_lists: Lists,
    /// Of all candidates ranked together, by [`Segment::ALL`].
    pub(crate) all: Vec<PerUser>,
    pub(crate) all_lists: Lists,
    /// Recall at the first cut among new candidates by weeks since their launch: user, week, recall.
    pub(crate) weeks: Vec<(u32, usize, f64)>,
}

impl EvaluationContext<'_> {
    /// The columns of the tables.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns = Evaluator::new(self.cuts, self.seed).columns();
        for metric in [Metric::Novelty, Metric::Diversity] {
            columns.extend(self.cuts.iter().map(|k| Column { metric, k: Some(*k) }));
        }
        columns
    }

    /// Measures a method. `shift` is added to what it says of new candidates; `all` ranks all candidates together too.
    pub(crate) fn measure_method(
        &self,
        method: &Method<'_>,
        shift: f32,
        all: bool,
        stop: Stop<'_>,
    ) -> Result<MethodMetrics, Cancelled> {
        let users = self.ground_truth.taken.rows();
        let takers = (0..users).filter(|user| !self.ground_truth.taken.row(*user).0.is_empty()).collect::<Vec<_>>();
        let parts = takers.par_chunks(TASK).map(|users| {
            let mut worker = Worker::new(self, shift, all && self.rank_all);
            for user in users {
                check(stop)?;
                worker.add(method, *user);
            }
            Ok(worker.metrics)
        });
        let parts = parts.collect::<Result<Vec<_>, Cancelled>>()?;
        let mut whole = Worker::new(self, 0.0, false).metrics;
        for part in parts {
            whole.new.append(part.new);
            whole.new_lists.append(&part.new_lists);
            whole.all.iter_mut().zip(part.all).for_each(|(all, part)| all.append(part));
            whole.all_lists.append(&part.all_lists);
            whole.weeks.extend(part.weeks);
        }
        Ok(whole)
    }

    /// What a method shows each of these users, whatever they took: the first of all candidates, or of the new ones where there are
    /// no others.
    pub(crate) fn lists(
        &self,
        method: &Method<'_>,
        shift: f32,
        users: &[u32],
        stop: Stop<'_>,
    ) -> Result<Vec<Vec<u32>>, Cancelled> {
        let list = |worker: &mut Worker<'_>, user: &u32| {
            let user = *user as usize;
            check(stop)?;
            if !method.row_into(user, &mut worker.scratch, &mut worker.row) {
                return Ok(Vec::new());
            }
            if self.rank_all {
                worker.rank_everything(user);
                return Ok(worker.evaluator.top().to_vec());
            }
            worker.rank_new(user);
            Ok(worker.top_of_new())
        };
        users.par_iter().map_init(|| Worker::new(self, shift, self.rank_all), list).collect()
    }
}

/// One thread's work.
struct Worker<'a> {
    context: &'a EvaluationContext<'a>,
    shift: f32,
    rank_all: bool,
    evaluator: Evaluator,
    row: Vec<f32>,
    scratch: Vec<f32>,
    new_row: Vec<f32>,
    values: Vec<f64>,
    metrics: MethodMetrics,
}

impl<'a> Worker<'a> {
    fn new(context: &'a EvaluationContext<'a>, shift: f32, rank_all: bool) -> Self {
        let width = context.columns().len();
        let metrics = MethodMetrics {
            new: PerUser::new(width),
            new_lists: Lists::default(),
            all: Segment::ALL.iter().map(|_| PerUser::new(width)).collect(),
            all_lists: Lists::default(),
            weeks: Vec::new(),
        };
        Self {
            context,
            shift,
            rank_all,
            evaluator: Evaluator::new(context.cuts, context.seed),
            row: vec![0.0; context.is_new.len()],
            scratch: Vec::new(),
            new_row: Vec::with_capacity(context.new.len()),
            values: vec![f64::NAN; width],
            metrics,
        }
    }

    fn add(&mut self, method: &Method<'_>, user: usize) {
        if !method.row_into(user, &mut self.scratch, &mut self.row) {
            return;
        }
        let context = self.context;
        let (taken, _) = context.ground_truth.taken.row(user);
        let (new, warm): (Vec<u32>, Vec<u32>) = taken.iter().partition(|item| context.is_new[**item as usize]);
        if !new.is_empty() {
            self.rank_new(user);
            let place = |item: &u32| context.new.binary_search(item).unwrap_or_default() as u32;
            let places = new.iter().map(place).collect::<Vec<_>>();
            self.measure(&places, &[]);
            let top = self.top_of_new();
            self.describe(&top);
            self.metrics.new.push(user as u32, &self.values);
            self.metrics.new_lists.push(self.evaluator.top());
            self.weeks(user, &places);
        }
        if self.rank_all {
            self.rank_everything(user);
            let top = self.evaluator.top().to_vec();
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
                self.metrics.all[table].push(user as u32, &self.values);
            }
            self.metrics.all_lists.push(&top);
        }
    }

    /// Ranks the new candidates among themselves.
    fn rank_new(&mut self, user: usize) {
        self.new_row.clear();
        self.new_row.extend(self.context.new.iter().map(|item| self.row[*item as usize]));
        self.evaluator.rank(user as u64, &self.new_row, &[]);
    }

    /// The first of them.
    fn top_of_new(&self) -> Vec<u32> {
        self.evaluator.top().iter().map(|place| self.context.new[*place as usize]).collect()
    }

    /// Ranks all candidates together, the new ones shifted.
    fn rank_everything(&mut self, user: usize) {
        for item in self.context.new {
            self.row[*item as usize] += self.shift;
        }
        self.evaluator.rank(user as u64, &self.row, self.context.had.row(user).0);
    }

    fn measure(&mut self, relevant: &[u32], others: &[u32]) {
        self.values.fill(f64::NAN);
        let width = self.values.len() - 2 * self.context.cuts.len();
        self.evaluator.measure(relevant, others, &mut self.values[..width]);
    }

    /// Novelty and diversity of the list.
    fn describe(&mut self, top: &[u32]) {
        let cuts = self.context.cuts;
        let first = self.values.len() - 2 * cuts.len();
        for (place, k) in cuts.iter().enumerate() {
            let list = &top[..top.len().min(*k)];
            self.values[first + place] = novelty(list, self.context.information);
            self.values[first + cuts.len() + place] = diversity(list, self.context.vectors);
        }
    }

    /// Recall of what was taken in each week since its launch.
    fn weeks(&mut self, user: usize, places: &[u32]) {
        let context = self.context;
        let (items, weeks) = context.ground_truth.weeks.row(user);
        let week_of = |place: u32| {
            let item = context.new[place as usize];
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
            self.metrics.weeks.push((user as u32, week, self.values[0]));
        }
    }
}
