//! `debut serve` under load.
//!
//! `cargo bench --bench serve [-- SECONDS]` measures requests per second and latency of `/v1/embed` and `/v1/score` by number of
//! clients, SECONDS each: with micro-batching, without, and beside a FastAPI server over sentence-transformers ([`requests`]).
//! With `DEBUT_PEERS_PYTHON` (a Python that has fastapi, uvicorn and sentence-transformers) and `DEBUT_PEERS_MODEL` (the folder
//! of all-MiniLM-L6-v2) it runs the peer in between; it prints its own numbers anyway.
//!
//! `cargo bench --bench serve -- load [MINUTES]` runs the program itself with 50 clients of all protocols at once, and watches
//! its memory ([`load`]).

mod http;
mod latencies;
mod load;
mod peer;
mod requests;

use std::time::Duration;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |place: usize, default: f64| match arguments.get(place) {
        Some(text) => text.parse().map_err(|_| format!("'{text}' is not a number")),
        None => Ok(default),
    };
    match arguments.first().map(String::as_str) {
        Some("load") => load::run(Duration::from_secs_f64(60.0 * number(1, 10.0)?)),
        _ => requests::run(Duration::from_secs_f64(number(0, 5.0)?)),
    }
}
