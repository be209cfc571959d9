//! Requests to `/v1/embed` and `/v1/score` by number of clients: takes the titles of the bundled shop; prints requests per
//! second and latencies of each server in turn.
//!
//! Each client sends one request at a time. A request of `/v1/embed` has one title; one of `/v1/score` has a title as the query
//! and ten as items. All servers compute every text, but the one with the embedding cache: it computes each of the catalogue's
//! titles once.

use std::net::SocketAddr;
use std::path::Path;
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
use debut_udfs::config::Switch;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Result;
use crate::http::{Client, Request};
use crate::latencies::Latencies;
use crate::peer::Peer;

const CLIENTS: [usize; 4] = [1, 4, 16, 64];
const ROUNDS: usize = 2;

/// Texts that a request of `/v1/score` compares with its query.
const ITEMS: usize = 10;

/// Measures each server for `length` by kind of request and number of clients.
pub(crate) fn run(length: Duration) -> Result<()> {
    let runtime = Runtime::new()?;
    let models = Arc::new(Models::new(Home::from_env()));
    let titles = runtime.block_on(titles(&models))?;
    let alone = BatchingOptions { max_requests: 1, latency_budget: Duration::ZERO, ..BatchingOptions::default() };
    let folder = tempfile::tempdir()?;
    let cached = EngineOptions { cache_folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let servers = [
        ("debut, micro-batching", start(&runtime, &models, BatchingOptions::default(), &uncached())?),
        ("debut, one request a call", start(&runtime, &models, alone, &uncached())?),
        ("debut, with the embedding cache", start(&runtime, &models, BatchingOptions::default(), &cached)?),
    ];
    let peer = Peer::start()?;
    let peer = peer.as_ref().map(|peer| ("fastapi + sentence-transformers", peer.address));
    let embed = titles.iter().map(|title| Request::embed(title)).collect();
    let score = titles.chunks_exact(ITEMS + 1).map(|texts| Request::score(&texts[0], &texts[1..])).collect();
    let kinds: [(&str, Arc<Vec<Request>>); 2] = [("embed", Arc::new(embed)), ("score", Arc::new(score))];
    println!("{} titles, {} s each, {} threads", titles.len(), length.as_secs_f64(), thread::available_parallelism()?);
    for (kind, requests) in &kinds {
        for clients in CLIENTS {
            // A shared machine's speed drifts: the servers take turns.
            for _ in 0..ROUNDS {
                for (name, address) in servers.iter().copied().chain(peer) {
                    let (per_second, latencies) = measure(address, clients, length, requests)?;
                    println!("{kind}  {clients:>3} clients  {name:<33} {per_second:>8.1} requests/s   {latencies}");
                }
            }
        }
    }
    Ok(())
}

/// Computes every text.
fn uncached() -> EngineOptions {
    EngineOptions { cache: Switch::Off, ..EngineOptions::default() }
}

/// The distinct titles of the bundled shop.
async fn titles(models: &Arc<Models>) -> Result<Vec<String>> {
    let engine = Engine::open(Arc::clone(models), &uncached())?;
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
fn start(
    runtime: &Runtime,
    models: &Arc<Models>,
    batching: BatchingOptions,
    options: &EngineOptions,
) -> Result<SocketAddr> {
    let sessions = Engine::open(Arc::clone(models), options)?;
    let engine = HttpEngine {
        open_session: Box::new(move || sessions.session(&Access::everything())),
        provider: Arc::clone(models) as _,
        threads: runtime.handle().clone(),
    };
    let users = |_: &axum::http::HeaderMap| Ok::<_, ApiError>(User { name: "bench".to_owned() });
    let options = HttpOptions { batching, ..HttpOptions::default() };
    let state = runtime.block_on(HttpState::open(engine, Arc::new(users), options))?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(serve(listener, None, state, std::future::pending()));
    Client::connect(address)?.post(&Request::embed("ready"))?;
    Ok(address)
}

/// Requests per second of clients that each send the next request when the last is answered, and how long each took.
fn measure(
    address: SocketAddr,
    clients: usize,
    length: Duration,
    requests: &Arc<Vec<Request>>,
) -> Result<(f64, Latencies)> {
    let begun = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let requests = Arc::clone(requests);
            thread::spawn(move || -> Result<Latencies> {
                let mut connection = Client::connect(address)?;
                let mut latencies = Latencies::default();
                for request in requests.iter().cycle().skip(client * 37 % requests.len()) {
                    if begun.elapsed() >= length {
                        break;
                    }
                    let sent = Instant::now();
                    connection.post(request)?;
                    latencies.push(sent.elapsed());
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Latencies::default();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a client panicked")??);
    }
    Ok((latencies.len() as f64 / begun.elapsed().as_secs_f64(), latencies))
}
