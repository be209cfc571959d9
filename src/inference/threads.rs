//! How many threads models get, and the threads that prepare inputs.

use std::collections::HashSet;
use std::fs;
use std::sync::OnceLock;
use std::thread;

use futures::channel::oneshot;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::Error;

/// Cores that this process may use: physical ones where the system tells, because two hyperthreads share the units
/// that matrix products keep busy. Never more than the scheduler grants.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| {
        let granted = thread::available_parallelism().map_or(1, usize::from);
        physical_cores().map_or(granted, |physical| physical.clamp(1, granted))
    })
}

/// Counts the groups of hyperthreads that the CPUs of this process belong to; Linux only.
fn physical_cores() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let siblings: HashSet<String> = parse_cpu_list(allowed)?
        .into_iter()
        .map(|cpu| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(siblings.len()).filter(|cores| *cores > 0)
}

/// `0-2,5` is 0, 1, 2 and 5.
fn parse_cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The threads that prepare inputs (tokenize texts) for all models; one core is left to the thread that runs the
/// session.
///
/// # Errors
/// The system starts no more threads.
pub(crate) fn preprocessor_pool() -> Result<&'static ThreadPool, ThreadPoolBuildError> {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(cores().saturating_sub(1).max(1))
        .thread_name(|index| format!("debut-tokenizer-{index}"))
        // Without this a panic ends the process. Whoever waits for the tokens learns that none come; the panic hook has
        // said why.
        .panic_handler(|_| tracing::error!("a thread that tokenizes has panicked"))
        .build()?;
    Ok(POOL.get_or_init(|| pool))
}

/// Runs `work` on the threads that prepare inputs, for `model`.
///
/// # Errors
/// The system starts no threads, or the work panicked.
pub(crate) async fn aside<T: Send + 'static>(
    model: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let model = || model.to_string();
    let pool = preprocessor_pool().map_err(|source| Error::Thread { model: model(), source: source.into() })?;
    let (sender, receiver) = oneshot::channel();
    // Nobody waits for a cancelled job.
    pool.spawn(move || drop(sender.send(work())));
    receiver.await.map_err(|_| Error::Stopped { model: model() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_of_cpus() {
        assert_eq!(parse_cpu_list("\t0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpu_list("7"), Some(vec![7]));
        assert_eq!(parse_cpu_list(""), None);
    }

    #[test]
    fn never_more_cores_than_granted() {
        let granted = thread::available_parallelism().map_or(1, usize::from);
        assert!((1..=granted).contains(&cores()));
    }
}
