//! Cancel requests: takes the process and key that a client was given at its start; stops the statement of that connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use crate::server::scram::{Failure, random};

/// The length of a key in protocol 3.0, and of one in 3.2.
const KEY: [usize; 2] = [4, 32];

/// The connections of a server.
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_process: Mutex<HashMap<i32, Arc<Cancel>>>,
    last: AtomicI32,
}

/// How a connection's statement is cancelled.
#[derive(Debug)]
struct Cancel {
    key: Vec<u8>,
    running: Mutex<Option<oneshot::Sender<()>>>,
}

/// A connection's place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    connections: Arc<Connections>,
    process: i32,
    cancel: Arc<Cancel>,
}

impl Connections {
    /// Adds a connection; `minor` is the version of its protocol.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub(super) fn register(self: &Arc<Self>, minor: u16) -> Result<Registered, Failure> {
        let length = KEY[usize::from(minor >= 2)];
        let key = random::<{ KEY[1] }>()?[..length].to_vec();
        let cancel = Arc::new(Cancel { key, running: Mutex::default() });
        let mut by_process = lock(&self.by_process);
        // Numbers begin anew after two thousand million connections, when the first have long ended.
        let process = loop {
            let process = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
            if process > 0 && !by_process.contains_key(&process) {
                break process;
            }
        };
        by_process.insert(process, Arc::clone(&cancel));
        Ok(Registered { connections: Arc::clone(self), process, cancel })
    }

    /// Stops the statement of a connection, if the key is its own. Who asks is told nothing.
    pub(super) fn cancel(&self, process: i32, key: &[u8]) {
        let cancel = lock(&self.by_process).get(&process).cloned();
        if let Some(cancel) = cancel.filter(|cancel| bool::from(cancel.key.ct_eq(key)))
            && let Some(running) = lock(&cancel.running).take()
        {
            // It may have ended just now.
            let _ = running.send(());
        }
    }
}

impl Registered {
    /// The number that stands for the connection.
    pub(super) fn process(&self) -> i32 {
        self.process
    }

    /// What a client must know to cancel.
    pub(super) fn key(&self) -> &[u8] {
        &self.cancel.key
    }

    /// A statement begins: what is returned gives a value when it is to be cancelled. One that comes before is for another.
    pub(super) fn begin(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        *lock(&self.cancel.running) = Some(sender);
        receiver
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.connections.by_process).remove(&self.process);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_key_cancels_what_runs() {
        let connections = Arc::new(Connections::default());
        let (one, other) = (connections.register(0).unwrap(), connections.register(2).unwrap());
        assert_eq!((one.key().len(), other.key().len()), (4, 32));
        assert_ne!(one.process(), other.process());
        connections.cancel(one.process(), one.key());
        let (mut running, mut beside) = (one.begin(), other.begin());
        for wrong in [&b"abcd"[..], b"", other.key()] {
            connections.cancel(one.process(), wrong);
        }
        assert!(running.try_recv().is_err());
        connections.cancel(one.process(), one.key());
        assert_eq!((running.try_recv(), beside.try_recv().is_err()), (Ok(()), true));
        drop(one);
        assert_eq!(lock(&connections.by_process).len(), 1);
    }
}
