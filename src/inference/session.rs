//! An ONNX Runtime session and the one thread that runs it.
//!
//! Takes a graph and a device; gives a [`SessionThread`] that runs chunks of prepared rows and writes their vectors or
//! logits into their jobs.
//!
//! ONNX Runtime's own `Run` is not safe to call twice at once, so one thread owns the session and everything else sends
//! it work. Jobs take turns, a batch each: a short query does not wait for a long one. The number of waiting chunks is
//! bounded by the jobs themselves, which hand in two at most (see `inference::model`).

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use debut_udfs::model::Stats;
use futures::channel::oneshot;
use ort::session::{Session, SessionOutputs};

use super::Error;
use super::inputs::Inputs;
use super::job::{Chunk, RunningJob};
use super::pooling::{NotFinite, normalize, pool};
use super::preprocessor::Preprocessor;
use crate::registry::manifest::{OutputKind, Pooling};

/// What the thread must know of a model besides its session.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// `name@version`, for messages.
    pub(crate) model: String,
    /// `cpu` or `cuda:0`, for messages.
    pub(crate) device: String,
    /// The output that is read.
    pub(crate) output: String,
    /// What it holds.
    pub(crate) kind: OutputKind,
    /// How token vectors become one.
    pub(crate) pooling: Pooling,
    /// Values a row: the width of the vectors, or the number of logits.
    pub(crate) width: usize,
}

/// Chunks on their way to the thread.
struct Work {
    job: Arc<RunningJob>,
    chunk: Chunk,
    done: oneshot::Sender<Result<(), Error>>,
}

/// The handle of a session's thread. Dropping it waits for the batch that runs and closes the session.
pub(crate) struct SessionThread {
    model: String,
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Debug for SessionThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionThread").field("model", &self.model).finish_non_exhaustive()
    }
}

impl SessionThread {
    /// Gives `session` a thread of its own.
    ///
    /// # Errors
    /// The session's inputs or output do not fit, or no thread can be started.
    pub(crate) fn start(session: Session, reading: Reading, preprocessor: &dyn Preprocessor) -> Result<Self, Error> {
        let inputs = Inputs::of(&session, &reading.model, preprocessor)?;
        let model = reading.model.clone();
        let (work, queue) = mpsc::channel();
        let runner = Runner { session, reading, inputs };
        let thread = thread::Builder::new()
            .name(format!("debut-session-{model}"))
            .spawn(move || runner.serve(&queue))
            .map_err(|source| Error::Thread { model: model.clone(), source: source.into() })?;
        Ok(Self { model, work: Some(work), thread: Some(thread) })
    }

    /// Hands a chunk of `job` to the thread; the receiver hears when all of it has run. Never blocks.
    ///
    /// # Errors
    /// The thread has ended.
    pub(crate) fn submit(
        &self,
        job: Arc<RunningJob>,
        chunk: Chunk,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (done, receiver) = oneshot::channel();
        let stopped = || Error::Stopped { model: self.model.clone() };
        let work = self.work.as_ref().ok_or_else(stopped)?;
        work.send(Work { job, chunk, done }).map_err(|_| stopped())?;
        Ok(receiver)
    }
}

impl Drop for SessionThread {
    fn drop(&mut self) {
        // Closing the channel ends the thread; waiting for it makes sure that no session runs while the process exits.
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(model = self.model, "the thread of the session had panicked");
        }
    }
}

/// Chunks of one job, in order, and how far the first one is.
struct Turn {
    job: Arc<RunningJob>,
    chunks: VecDeque<(Chunk, oneshot::Sender<Result<(), Error>>)>,
    next_batch: usize,
}

/// What lives on the thread.
struct Runner {
    session: Session,
    reading: Reading,
    inputs: Inputs,
}

impl Runner {
    /// Runs batches, one of each waiting job in turn, until the handle is dropped.
    fn serve(mut self, queue: &Receiver<Work>) {
        let mut turns: VecDeque<Turn> = VecDeque::new();
        loop {
            if turns.is_empty() {
                match queue.recv() {
                    Ok(work) => enqueue(&mut turns, work),
                    Err(_) => return,
                }
            }
            while let Ok(work) = queue.try_recv() {
                enqueue(&mut turns, work);
            }
            if let Some(turn) = turns.pop_front()
                && let Some(turn) = self.step(turn)
            {
                turns.push_back(turn);
            }
        }
    }

    /// Runs one batch of `turn`; gives it back while there is more to do.
    fn step(&mut self, mut turn: Turn) -> Option<Turn> {
        // Dropping the turn drops its senders and rows: a cancelled job leaves nothing behind.
        if turn.job.is_cancelled() {
            return None;
        }
        let (chunk, _) = turn.chunks.front()?;
        let result = if turn.next_batch < chunk.batches.len() {
            self.run(&turn.job, chunk, chunk.batches.get(turn.next_batch))
        } else {
            Ok(())
        };
        turn.next_batch += 1;
        if result.is_err() || turn.next_batch >= chunk.batches.len() {
            let failed = result.is_err();
            let (_, done) = turn.chunks.pop_front()?;
            // Nobody listens when the job was cancelled meanwhile.
            let _ = done.send(result);
            if failed {
                return None;
            }
            turn.next_batch = 0;
        }
        (!turn.chunks.is_empty()).then_some(turn)
    }

    /// Runs the session on `rows` of `chunk` and writes what comes out into the job.
    fn run(&mut self, job: &RunningJob, chunk: &Chunk, rows: &[u32]) -> Result<(), Error> {
        let length = |row: &u32| chunk.prepared.length(*row as usize);
        let tokens: usize = rows.iter().map(length).sum();
        let longest = rows.first().map_or(0, length);
        let reading = &self.reading;
        let failed = |source: ort::Error| {
            let (model, device, rows, length) = (reading.model.clone(), reading.device.clone(), rows.len(), longest);
            match is_out_of_memory(source.message()) {
                true => Error::Memory { model, device, rows, length, source },
                false => Error::Run { model, device, rows, length, source },
            }
        };

        let inputs = self.inputs.fill(&*chunk.prepared, rows, longest).map_err(failed)?;
        let started = Instant::now();
        let outputs = self.session.run_with_options(inputs, job.run_options()).map_err(failed)?;
        Stats::add_time(&job.stats.session_nanos, started.elapsed());
        Stats::add(&job.stats.batches, 1);
        Stats::add(&job.stats.rows, rows.len());
        Stats::add(&job.stats.tokens, tokens);
        Stats::add(&job.stats.padded_tokens, rows.len() * longest);
        for row in rows {
            job.stats.set_row_tokens(chunk.first_row + *row as usize, length(row));
        }
        write(&outputs, reading, job, chunk, rows, longest)
    }
}

/// Whether the runtime's message says that memory ran out: it has no code for that. The words are those of its arena, of CUDA, cuBLAS
/// and cuDNN, and of C++.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "failed to allocate memory",
        "out of memory",
        "alloc_failed",
        "bad_alloc",
        "bad allocation",
        "smaller than requested bytes",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Adds `work` behind what its job has waiting, or as the last in turn.
fn enqueue(turns: &mut VecDeque<Turn>, Work { job, chunk, done }: Work) {
    match turns.iter_mut().find(|turn| Arc::ptr_eq(&turn.job, &job)) {
        Some(turn) => turn.chunks.push_back((chunk, done)),
        None => turns.push_back(Turn { job, chunks: VecDeque::from([(chunk, done)]), next_batch: 0 }),
    }
}

/// Reads the output in place and writes every row where it belongs in the job.
fn write(
    outputs: &SessionOutputs<'_>,
    reading: &Reading,
    job: &RunningJob,
    chunk: &Chunk,
    rows: &[u32],
    longest: usize,
) -> Result<(), Error> {
    let width = reading.width;
    let row_values = match reading.kind {
        OutputKind::TokenEmbeddings => longest * width,
        OutputKind::SentenceEmbedding | OutputKind::Logits => width,
    };
    let wrong = |found: String| Error::Output {
        model: reading.model.clone(),
        output: reading.output.clone(),
        found,
        expected: format!("{} x {row_values} float32 values", rows.len()),
    };
    let tensor = outputs.get(&reading.output).ok_or_else(|| wrong("missing".to_string()))?;
    let (shape, values) = tensor.try_extract_tensor::<f32>().map_err(|error| wrong(error.to_string()))?;
    if values.len() != rows.len() * row_values {
        return Err(wrong(format!("of shape {shape:?}")));
    }

    let mut output = job.output();
    if job.is_cancelled() {
        return Ok(());
    }
    for (row, values) in rows.iter().zip(values.chunks_exact(row_values)) {
        let place = chunk.first_row + *row as usize;
        let out = &mut output.values[place * width..(place + 1) * width];
        let result = match reading.kind {
            OutputKind::TokenEmbeddings => {
                pool(reading.pooling, values, chunk.prepared.length(*row as usize), out);
                normalize(out)
            }
            OutputKind::SentenceEmbedding => {
                out.copy_from_slice(values);
                normalize(out)
            }
            OutputKind::Logits => {
                out.copy_from_slice(values);
                if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(NotFinite) }
            }
        };
        if let Err(NotFinite) = result {
            out.fill(0.0);
            output.failures.push((place, "the model gives values that are not finite".to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_say_when_memory_runs_out() {
        for message in [
            "Failed to allocate memory for requested buffer of size 8589934592",
            "CUDA failure 2: out of memory ; GPU=0",
            "Available memory of 1024 is smaller than requested bytes of 4096",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
            "std::bad_alloc",
        ] {
            assert!(is_out_of_memory(message), "{message}");
        }
        assert!(!is_out_of_memory("Got invalid dimensions for input: input_ids"));
    }
}
