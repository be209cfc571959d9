//! `/v1/embed` under load: requests per second and latency by number of clients, with micro-batching and without, and beside
//! a FastAPI server over sentence-transformers.
//!
//! Takes the titles of the bundled shop; each client sends one at a time over a connection that it keeps. Run by
//! `cargo bench --bench serve [-- SECONDS]`, the length of each measurement. With `DEBUT_PEERS_PYTHON` (a Python that has
//! fastapi, uvicorn and sentence-transformers) and `DEBUT_PEERS_MODEL` (the folder of all-MiniLM-L6-v2) it runs the peer in
//! between; it prints its own numbers anyway.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use debut::engine::{Access, Engine, EngineOptions};
use debut::home::Home;
use debut::inference::Models;
use debut::server::http::auth::User;
use debut::server::http::error::ApiError;
use debut::server::http::options::{BatchingOptions, HttpOptions};
use debut::server::http::{HttpEngine, HttpState, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const CLIENTS: [usize; 4] = [1, 4, 16, 64];
const ROUNDS: usize = 2;

fn main() -> Result<()> {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5.0);
    let length = Duration::from_secs_f64(seconds);
    let runtime = Runtime::new()?;
    let models = Arc::new(Models::new(Home::from_env()));
    let titles = Arc::new(runtime.block_on(titles(&models))?);
    let alone = BatchingOptions { max_requests: 1, latency_budget: Duration::ZERO, ..BatchingOptions::default() };
    let servers = [
        ("debut, micro-batching", start(&runtime, &models, BatchingOptions::default())?),
        ("debut, one request a call", start(&runtime, &models, alone)?),
    ];
    let peer = Peer::start()?;
    let peer = peer.as_ref().map(|peer| ("fastapi + sentence-transformers", peer.address));
    println!("{} titles, {seconds} s each, {} threads", titles.len(), thread::available_parallelism()?);
    for clients in CLIENTS {
        // A shared machine's speed drifts: the servers take turns.
        for _ in 0..ROUNDS {
            for (name, address) in servers.iter().copied().chain(peer) {
                let load = measure(address, clients, length, &titles)?;
                println!(
                    "{clients:>3} clients  {name:<32} {:>8.1} requests/s   p50 {:>7.1}  p95 {:>7.1}  p99 {:>7.1} ms",
                    load.per_second,
                    load.quantile(0.5),
                    load.quantile(0.95),
                    load.quantile(0.99),
                );
            }
        }
    }
    Ok(())
}

/// The distinct titles of the bundled shop.
async fn titles(models: &Arc<Models>) -> Result<Vec<String>> {
    let engine = Engine::open(Arc::clone(models), &EngineOptions::default())?;
    let session = engine.session(&Access::everything())?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/products.parquet");
    let mut titles = Vec::new();
    for statement in session.statements(&format!("SELECT DISTINCT title FROM '{}' ORDER BY title", file.display()))? {
        for batch in session.run(statement).await?.collect().await? {
            let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
            let column = arrow::array::AsArray::as_string::<i32>(&column);
            titles.extend(column.iter().flatten().map(str::to_owned));
        }
    }
    Ok(titles)
}

/// A server in this process, once its model is loaded. Ends with the process.
fn start(runtime: &Runtime, models: &Arc<Models>, batching: BatchingOptions) -> Result<SocketAddr> {
    let sessions = Engine::open(Arc::clone(models), &EngineOptions::default())?;
    let engine = HttpEngine {
        open_session: Box::new(move || sessions.session(&Access::everything())),
        provider: Arc::clone(models) as _,
        threads: runtime.handle().clone(),
    };
    let users = |_: &axum::http::HeaderMap| Ok::<_, ApiError>(User { name: "bench".to_owned() });
    let options = HttpOptions { batching, ..HttpOptions::default() };
    let state = HttpState::open(engine, Arc::new(users), options)?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(serve(listener, None, state, std::future::pending()));
    Client::connect(address)?.embed("ready")?;
    Ok(address)
}

/// What clients saw.
struct Load {
    per_second: f64,
    /// Milliseconds, ascending.
    latencies: Vec<f64>,
}

impl Load {
    fn quantile(&self, share: f64) -> f64 {
        let place = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(place.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// Clients that each send the next request when the last is answered.
fn measure(address: SocketAddr, clients: usize, length: Duration, titles: &Arc<Vec<String>>) -> Result<Load> {
    let begun = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let titles = Arc::clone(titles);
            thread::spawn(move || -> Result<Vec<f64>> {
                let mut connection = Client::connect(address)?;
                let mut latencies = Vec::new();
                for title in titles.iter().cycle().skip(client * 37 % titles.len()) {
                    if begun.elapsed() >= length {
                        break;
                    }
                    let sent = Instant::now();
                    connection.embed(title)?;
                    latencies.push(sent.elapsed().as_secs_f64() * 1e3);
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    let per_second = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Ok(Load { per_second, latencies })
}

/// A connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a title and reads the whole answer.
    fn embed(&mut self, title: &str) -> Result<()> {
        let body = serde_json::json!({"input": [title]}).to_string();
        let length = body.len();
        write!(
            self.0.get_mut(),
            "POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(format!("the answer is {line:?}").into());
        }
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok(())
    }
}

/// The peer's server.
struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts the peer and waits until it has its model; `None` where it is not installed.
    fn start() -> Result<Option<Self>> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let (Some(python), Some(model)) = (variable("DEBUT_PEERS_PYTHON"), variable("DEBUT_PEERS_MODEL")) else {
            println!("no peer: DEBUT_PEERS_PYTHON and DEBUT_PEERS_MODEL are not set");
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/serve.py");
        let mut child = Command::new(python).arg(script).arg(model).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("the peer has no output")?;
        let mut peer = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for line in BufReader::new(output).lines() {
            if let Some(port) = line?.strip_prefix("listening ") {
                peer.address.set_port(port.parse()?);
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(120) {
                    if Client::connect(peer.address).and_then(|mut client| client.embed("ready")).is_ok() {
                        return Ok(Some(peer));
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            }
        }
        Err("the peer did not begin to listen".into())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
