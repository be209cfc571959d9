//! What a connection has: for each of its users a session of the engine, plans that wait to be read, prepared statements,
//! and what is being read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datafusion::logical_expr::LogicalPlan;
use tokio::sync::{OnceCell, watch};
use tonic::Status;

use super::prepared::Prepared;
use crate::engine::Session;

/// Plans that wait to be read: of more, the oldest are forgotten.
const PLANS: usize = 256;
/// Prepared statements of a session.
const STATEMENTS: usize = 1024;

/// The sessions of a connection, by user. Usually one: a proxy may send calls of several users through one connection.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<OnceCell<Arc<Client>>>>>);

impl Sessions {
    /// The session of a user, opened by `open` if it is the first time.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) async fn of(
        &self,
        user: String,
        open: impl AsyncFnOnce() -> Result<Session, Status>,
    ) -> Result<Arc<Client>, Status> {
        let cell = Arc::clone(lock(&self.0).entry(user).or_default());
        cell.get_or_try_init(|| async { Ok(Arc::new(Client::new(open().await?))) }).await.cloned()
    }

    /// Ends the session of a user; its next call begins another one.
    pub(super) fn end(&self, user: &str) {
        lock(&self.0).remove(user);
    }
}

/// A user's session.
pub(super) struct Client {
    pub(super) session: Arc<Session>,
    plans: Mutex<Numbered<LogicalPlan>>,
    prepared: Mutex<Numbered<Prepared>>,
    /// Results that are being read, by their plan's number.
    running: Mutex<HashMap<u64, watch::Sender<bool>>>,
}

impl Client {
    fn new(session: Session) -> Self {
        Self {
            session: Arc::new(session),
            plans: Mutex::default(),
            prepared: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Keeps a plan until it is read; gives the handle to read it by.
    pub(super) fn keep_plan(&self, plan: LogicalPlan) -> Bytes {
        let mut plans = lock(&self.plans);
        if plans.items.len() >= PLANS {
            plans.items.pop_first();
        }
        plans.insert(plan)
    }

    /// A plan that waits to be read, and its number. It can be read once.
    ///
    /// # Errors
    /// There is none of this handle.
    pub(super) fn take_plan(&self, handle: &[u8]) -> Result<(u64, LogicalPlan), Status> {
        let taken = number(handle).and_then(|number| Some((number, lock(&self.plans).items.remove(&number)?)));
        taken.ok_or_else(|| {
            Status::not_found("this result was read already, or belongs to another connection; ask again")
        })
    }

    /// Keeps a prepared statement; gives its handle.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn prepare(&self, statement: Prepared) -> Result<Bytes, Status> {
        let mut prepared = lock(&self.prepared);
        if prepared.items.len() >= STATEMENTS {
            return Err(Status::resource_exhausted(format!(
                "this session has {STATEMENTS} prepared statements already; close some"
            )));
        }
        Ok(prepared.insert(statement))
    }

    /// A prepared statement, changed by `change`.
    ///
    /// # Errors
    /// There is none of this handle.
    pub(super) fn prepared(&self, handle: &[u8], change: impl FnOnce(&mut Prepared)) -> Result<Prepared, Status> {
        let mut prepared = lock(&self.prepared);
        let found = number(handle).and_then(|number| prepared.items.get_mut(&number));
        let found = found.ok_or_else(|| Status::not_found("there is no such prepared statement in this session"))?;
        change(found);
        Ok(found.clone())
    }

    /// Forgets a prepared statement, if there is one of this handle.
    pub(super) fn close(&self, handle: &[u8]) {
        if let Some(number) = number(handle) {
            lock(&self.prepared).items.remove(&number);
        }
    }

    /// Notes that a result is being read; what is given says when it is cancelled.
    pub(super) fn run(&self, number: u64) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        lock(&self.running).insert(number, sender);
        receiver
    }

    /// Notes that a result is no longer read.
    pub(super) fn ended(&self, number: u64) {
        lock(&self.running).remove(&number);
    }

    /// Cancels a result that waits or is being read. Says whether there is one.
    pub(super) fn cancel(&self, handle: &[u8]) -> bool {
        let Some(number) = number(handle) else { return false };
        let waited = lock(&self.plans).items.remove(&number).is_some();
        let runs = lock(&self.running).get(&number).is_some_and(|sender| sender.send(true).is_ok());
        waited || runs
    }
}

/// Things by numbers that are never given twice.
struct Numbered<T> {
    last: u64,
    items: BTreeMap<u64, T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { last: 0, items: BTreeMap::new() }
    }
}

impl<T> Numbered<T> {
    fn insert(&mut self, item: T) -> Bytes {
        self.last += 1;
        self.items.insert(self.last, item);
        Bytes::copy_from_slice(&self.last.to_be_bytes())
    }
}

fn number(handle: &[u8]) -> Option<u64> {
    handle.try_into().ok().map(u64::from_be_bytes)
}

/// What is behind a lock is whole at all times, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
