//! Work that a signal can stop.
//!
//! Takes a future; gives its result, or says which signal came first. The work runs on another thread than the one that
//! waits for signals, so that planning, which may take long and never yields, does not keep Ctrl-C waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::error::{CliError, Result};
use super::messages::message as object;
use super::note;
use crate::inference::contain::is_contained;

/// How long stopped work may take to put away what it holds.
const GRACE: Duration = Duration::from_secs(2);

/// Plans are walked by recursion, and a debug build's frames are large.
const STACK: usize = 16 << 20;

/// The threads that queries run on.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Some until dropped.
    runtime: Option<Runtime>,
}

impl Tasks {
    /// As many threads as there are cores.
    pub(super) fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("debut")
            .thread_stack_size(STACK)
            .build()
            .map_err(CliError::part)?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `work` to its end, or until SIGINT, SIGTERM or SIGHUP: then it is dropped, wherever it stands.
    pub(super) fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(CliError::Internal) };
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let mut task = tokio::spawn(work);
            tokio::select! {
                done = &mut task => done.unwrap_or(Err(CliError::Internal)),
                signal = signals.next() => {
                    task.abort();
                    // Only to let it remove temporary files; it may be inside a call that does not end soon.
                    let _ = tokio::time::timeout(GRACE, task).await;
                    Err(CliError::Interrupted(signal))
                }
            }
        })
    }
}

impl Tasks {
    /// Runs a server, which is told of the first signal by the end of what `work` is given. The second one drops it.
    pub(super) fn serve<F>(&self, work: impl FnOnce(Shutdown) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(CliError::Internal) };
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let mut task = tokio::spawn(work(Shutdown(stopped)));
            tokio::select! {
                done = &mut task => return done.unwrap_or(Err(CliError::Internal)),
                _ = signals.next() => {}
            }
            // It may have ended just now.
            let _ = stop.send(());
            tokio::select! {
                done = &mut task => done.unwrap_or(Err(CliError::Internal)),
                signal = signals.next() => {
                    task.abort();
                    Err(CliError::Interrupted(signal))
                }
            }
        })
    }
}

/// Ends when a server is to stop.
#[derive(Debug)]
pub(super) struct Shutdown(tokio::sync::oneshot::Receiver<()>);

impl Future for Shutdown {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Who could tell has gone: that is the end, too.
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Blocking work that was cancelled is not waited for.
            runtime.shutdown_background();
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where who started the process wants it to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(CliError::part);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// The number of the signal that came.
    async fn next(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = hangup => 1,
        }
    }
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does. Listening to a signal would undo that.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    use std::ffi::c_int;
    use std::sync::LazyLock;
    unsafe extern "C" {
        fn signal(number: c_int, handler: usize) -> usize;
    }
    const SIGHUP: c_int = 1;
    const SIG_DFL: usize = 0;
    const SIG_IGN: usize = 1;
    // Asked once, before anything listens: later the answer would be the listener.
    static IGNORED: LazyLock<bool> = LazyLock::new(|| {
        // SAFETY: POSIX's signal(2); what was set before may be set again.
        let before = unsafe { signal(SIGHUP, SIG_DFL) };
        if before != SIG_DFL {
            // SAFETY: as above.
            unsafe { signal(SIGHUP, before) };
        }
        before == SIG_IGN
    });
    *IGNORED
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        // Without a handler there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        2
    }
}

/// A panic is a mistake of ours: one line that can be reported, no trace over the user's screen. One that is contained is
/// the error of a row, and said there. Programs that read stderr get an object.
pub(super) fn quiet_panics(json: bool) {
    std::panic::set_hook(Box::new(move |panic| {
        if is_contained() {
            return;
        }
        let message = panic.payload_as_str().unwrap_or("unknown");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = format!("internal error: {message} ({place}); please report this");
        if json { note(object(said)) } else { note(said) }
    }));
}
