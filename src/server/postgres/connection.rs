//! A connection whose client has proved who it is: takes its messages, one after another; gives the answers.
//!
//! A message is handled to its end before the next one is read, but for what ends a statement early. After an error in the
//! extended protocol everything is passed over until Sync, as the protocol says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use tokio::sync::watch;

use super::backend::{self, Transaction};
use super::cancel::Registered;
use super::catalog;
use super::error::{PgError, codes};
use super::frontend::Message;
use super::interrupt::{Interrupts, Stop, shutdown};
use super::portal::Portal;
use super::prepare::Prepared;
use super::script::{self, Piece};
use super::settings::{Settings, SharedSettings};
use super::wire::Wire;
use crate::engine::Session;
use crate::server::shared::{Phase, Shared, reached};

/// A client and its session.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) wire: Wire,
    pub(super) registered: Registered,
    pub(super) user: String,
    pub(super) settings: SharedSettings,
    /// What the client was told of the settings.
    told: BTreeMap<&'static str, String>,
    /// Settings of the engine that the client began with.
    engine_settings: Vec<(String, String)>,
    /// Opened when the first statement needs it: a connection that waits costs little.
    session: Option<Arc<Session>>,
    /// Its settings as they began.
    begun: Option<ConfigOptions>,
    pub(super) transaction: Transaction,
    /// Whether something was written since BEGIN, which ROLLBACK does not undo.
    pub(super) wrote: bool,
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
    /// Whether messages came since the last Sync, which must be answered.
    in_batch: bool,
    /// Whether messages are passed over until Sync.
    skipping: bool,
}

impl Connection {
    /// A session of `user`, who began with these settings; tells the client that it may go on.
    ///
    /// # Errors
    /// A setting has no such value, or the client goes.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        wire: Wire,
        registered: Registered,
        user: String,
        parameters: BTreeMap<String, String>,
    ) -> Result<Self, (Wire, Stop)> {
        let mut settings = Settings::new(&user, shared.options.limits.statement_timeout);
        let engine_settings = match settings.begin(parameters) {
            Ok(engine) => engine,
            Err(error) => return Err((wire, error.into())),
        };
        let mut connection = Self {
            shared,
            wire,
            registered,
            user,
            settings: SharedSettings::new(settings),
            told: BTreeMap::new(),
            engine_settings,
            session: None,
            begun: None,
            transaction: Transaction::Idle,
            wrote: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
            in_batch: false,
            skipping: false,
        };
        if !connection.engine_settings.is_empty() {
            let mut interrupts = connection.interrupts();
            if let Err(stop) = connection.session(&mut interrupts).await {
                return Err((connection.wire, stop));
            }
        }
        backend::authenticated(&mut connection.wire.output);
        connection.settings.lock().report(&mut connection.told, &mut connection.wire.output);
        let (process, key) = (connection.registered.process(), connection.registered.key());
        backend::key(&mut connection.wire.output, process, key);
        backend::ready(&mut connection.wire.output, Transaction::Idle);
        match connection.wire.send().await {
            Ok(()) => Ok(connection),
            Err(broken) => Err((connection.wire, broken.into())),
        }
    }

    /// Answers the client until one of both goes.
    pub(super) async fn serve(mut self) {
        let mut phase = self.shared.phase.clone();
        loop {
            let message = match self.next(&mut phase).await {
                Ok(Some(message)) => message,
                Ok(None) | Err(Stop::Gone) => return,
                Err(Stop::Error(error)) => return self.farewell(&error).await,
            };
            let extended = message.is_extended();
            match self.handle(message).await {
                Ok(()) => {}
                Err(Stop::Gone) => return,
                Err(Stop::Error(error)) if error.fatal => return self.farewell(&error).await,
                Err(Stop::Error(error)) => {
                    self.failed(&error);
                    self.skipping = extended;
                    // Who waits for the answer to a Flush hears of the error, too.
                    let told = if extended { self.wire.send().await.map_err(Stop::from) } else { self.ready().await };
                    if told.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The next message; `None` when the client says that it goes.
    async fn next(&mut self, phase: &mut watch::Receiver<Phase>) -> Result<Option<Message>, Stop> {
        let longest = self.shared.options.limits.max_message;
        // What belongs together is answered before the connection ends.
        let waits_for = if self.in_batch { Phase::Stopping } else { Phase::Draining };
        let message = tokio::select! {
            biased;
            message = self.wire.message(longest) => message?,
            () = reached(phase, waits_for) => return Err(shutdown().into()),
        };
        Ok(if message == Message::Terminate { None } else { Some(message) })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Stop> {
        if self.skipping && message != Message::Sync {
            return Ok(());
        }
        self.in_batch = message.is_extended();
        match message {
            Message::Query(sql) => self.query(&sql).await,
            Message::Parse { name, sql, types } => self.parse(name, &sql, &types).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, max_rows } => self.execute_portal(&portal, max_rows).await,
            Message::Close(target) => {
                self.close(&target);
                Ok(())
            }
            Message::Flush => Ok(self.wire.send().await?),
            Message::Sync => {
                self.skipping = false;
                self.ready().await
            }
            Message::Copy => Ok(()),
            Message::Password(_) => Err(PgError::protocol("the authentication is over").into()),
            Message::Terminate => Err(Stop::Gone),
        }
    }

    /// What may end the statements of the message that has just come.
    pub(super) fn interrupts(&self) -> Interrupts {
        Interrupts::new(self.registered.begin(), self.settings.lock().statement_timeout(), self.shared.phase.clone())
    }

    /// The statements of a text.
    ///
    /// # Errors
    /// A string or comment in it does not end.
    pub(super) async fn split<'a>(
        &mut self,
        sql: &'a str,
        interrupts: &mut Interrupts,
    ) -> Result<Vec<Piece<'a>>, Stop> {
        let session = self.session(interrupts).await?;
        let dialect = session.dialect().map_err(|error| PgError::of_engine(&error, sql))?;
        Ok(script::split(sql, dialect.as_ref())?)
    }

    /// The engine's session, which begins now if it has not yet.
    pub(super) async fn session(&mut self, interrupts: &mut Interrupts) -> Result<Arc<Session>, Stop> {
        if let Some(session) = &self.session {
            return Ok(Arc::clone(session));
        }
        let (shared, user, process) = (Arc::clone(&self.shared), self.user.clone(), self.registered.process());
        let shown = self.settings.clone();
        let settings = self.engine_settings.clone();
        let opened = self.shared.compute.start(async move {
            let session = shared.open_session()?;
            catalog::install(&session, &user, process, shown)?;
            let mut begun = session.settings();
            for (name, value) in settings {
                begun.set(&name, &value)?;
            }
            session.replace_settings(begun)?;
            Ok(Arc::new(session))
        });
        let session = interrupts.during(&mut self.wire, opened).await?;
        let session = session.map_err(|error| PgError::of_engine(&error, ""))?;
        self.begun = Some(session.settings());
        self.session = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The session begins anew when it is next needed.
    pub(super) fn forget_session(&mut self) {
        self.session = None;
    }

    /// The engine's settings are as they began.
    ///
    /// # Errors
    /// The engine does not take them.
    pub(super) fn reset_engine(&mut self) -> Result<(), PgError> {
        match (&self.session, &self.begun) {
            (Some(session), Some(begun)) => {
                session.replace_settings(begun.clone()).map_err(|error| PgError::of_engine(&error, ""))
            }
            _ => Ok(()),
        }
    }

    /// ReadyForQuery: the end of what belongs together. Portals end with the transaction.
    pub(super) async fn ready(&mut self) -> Result<(), Stop> {
        if self.transaction == Transaction::Idle {
            self.end_transaction();
        }
        self.in_batch = false;
        self.settings.lock().report(&mut self.told, &mut self.wire.output);
        backend::ready(&mut self.wire.output, self.transaction);
        Ok(self.wire.send().await?)
    }

    /// The end of a transaction, be it that of one statement.
    pub(super) fn end_transaction(&mut self) {
        self.transaction = Transaction::Idle;
        self.wrote = false;
        self.portals.retain(|_, portal| portal.hold);
        self.settings.lock().end_transaction();
    }

    fn failed(&mut self, error: &PgError) {
        backend::error(&mut self.wire.output, error);
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
    }

    /// Refuses what is not the end of a transaction that has failed.
    ///
    /// # Errors
    /// It has.
    pub(super) fn check_transaction(&self) -> Result<(), PgError> {
        if self.transaction == Transaction::Failed {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(PgError::error(codes::IN_FAILED_TRANSACTION, message));
        }
        Ok(())
    }

    async fn farewell(mut self, error: &PgError) {
        // What the engine holds is free at once, however long the client takes to listen.
        self.portals.clear();
        self.session = None;
        backend::error(&mut self.wire.output, error);
        let mut phase = self.shared.phase.clone();
        tokio::select! {
            // It may have gone already.
            _ = self.wire.close() => {}
            // Nor is it waited for for ever.
            () = tokio::time::sleep(super::FAREWELL) => {}
            () = reached(&mut phase, Phase::Stopping), if error.code != codes::ADMIN_SHUTDOWN => {}
        }
    }
}
