//! The routes over real sockets: takes options; gives a server over small models, and a client that sends bytes as they are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod fakes;
mod feedback;
mod inference;
mod openapi;
mod page;
mod queries;
mod readiness;
mod refusals;
mod shutdown;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::http::HeaderMap;
use debut_udfs::config::Switch;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::auth::{User, bearer, denied};
use super::error::ApiError;
use super::options::HttpOptions;
use super::{HttpEngine, HttpState, serve};
use crate::compress::Compress;
use crate::engine::{Access, Engine, EngineOptions, Session, Workers};
use crate::home::Home;
use crate::inference::{Models, fixtures};
use crate::train::EncoderTrainer;
use fakes::{Fakes, Shop};

/// The token of the one user.
const TOKEN: &str = "secret";

/// A home with small models and the runtime of all tests: `small` embeds, `cross` reads pairs, `prompted` has prompts.
fn home() -> &'static Home {
    static HOME: OnceLock<(TempDir, Home)> = OnceLock::new();
    let (_, home) = HOME.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let shared = fixtures::runtime_home();
        std::fs::create_dir_all(shared.runtimes()).unwrap();
        let home = Home::at(folder.path());
        std::os::unix::fs::symlink(shared.runtimes(), home.runtimes()).unwrap();
        let models = Models::new(home.clone());
        for (name, source) in
            [("small", "bert-mean-normalize"), ("cross", "bert-cross-encoder"), ("prompted", "e5-prompts")]
        {
            models.import(name, fixtures::reference_folder(source).to_str().unwrap(), &[], true).unwrap();
        }
        (folder, home)
    });
    home
}

/// A session as clients have it, over the models of the tests.
fn session() -> Session {
    let models = Arc::new(Models::new(home().clone()));
    let fakes = Arc::new(Fakes::over(Arc::clone(&models)));
    let workers = Workers {
        models: fakes as _,
        trainer: Arc::new(EncoderTrainer::new(Arc::clone(&models))),
        compressor: Arc::new(Compress::new(Arc::clone(&models))),
        recommenders: Arc::new(Shop),
    };
    // Two ways to a vector are compared: neither may find what the other has made.
    let options = EngineOptions { cache: Switch::Off, ..EngineOptions::default() };
    let engine = Engine::with_workers(models, workers, &options).unwrap();
    let session = engine.session(&Access::everything()).unwrap();
    futures::executor::block_on(session.context().sql("SET debut.model = 'small'")).unwrap();
    session
}

fn engine() -> HttpEngine {
    HttpEngine {
        open_session: Box::new(|| Ok(session())),
        provider: Arc::new(Fakes::over(Arc::new(Models::new(home().clone())))),
        threads: tokio::runtime::Handle::current(),
    }
}

/// A server that ends with the test.
struct Server {
    address: SocketAddr,
    state: Arc<HttpState>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with(HttpOptions::default()).await
    }

    async fn with(options: HttpOptions) -> Self {
        Self::over(engine(), options).await
    }

    async fn over(engine: HttpEngine, options: HttpOptions) -> Self {
        let users = |headers: &HeaderMap| match bearer(headers) {
            Some(TOKEN) => Ok::<_, ApiError>(User { name: "ada".into() }),
            _ => Err(denied()),
        };
        let state = HttpState::open(engine, Arc::new(users), options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let ended = tokio::spawn(serve(listener, None, Arc::clone(&state), shutdown));
        Self { address, state, stop: Some(stop), ended }
    }

    /// Tells the server to stop, and waits until it has.
    async fn stop(mut self) {
        drop(self.stop.take());
        self.ended.await.unwrap();
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.send("POST", path, &[], body.to_string().as_bytes()).await;
        (answer.status, answer.json())
    }

    /// The answer to a body that is right.
    async fn ok(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The status and the message of an error.
    async fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.post(path, body).await;
        assert!(status >= 400, "{answer}");
        (status, answer["error"]["message"].as_str().unwrap().to_owned())
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// A request of the user; `headers` are added to, or replace, those that it has.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let authorization = format!("Bearer {TOKEN}");
        let usual = [
            ("Host", "localhost"),
            ("Connection", "close"),
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
        ];
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        let kept = usual.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        for (name, value) in kept.chain(headers).filter(|(_, value)| !value.is_empty()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.raw(&[request.as_bytes(), body].concat()).await
    }

    /// What comes back when these bytes are sent.
    async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses early may not read to the end.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The rows of a query, as the JSON that the command line writes.
async fn sql(text: &str) -> Value {
    let session = session();
    let mut rows = Vec::new();
    for statement in session.statements(text).unwrap() {
        let batches = session.run(statement).await.unwrap().collect().await.unwrap();
        let mut writer = arrow::json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, arrow::json::writer::JsonArray>(&mut rows);
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
    }
    serde_json::from_slice(&rows).unwrap()
}

/// Feedback in a folder of its own.
fn with_feedback(folder: &Path) -> HttpOptions {
    HttpOptions { feedback: Some(PathBuf::from(folder)), ..HttpOptions::default() }
}
