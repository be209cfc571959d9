//! `/ready` while the default model is loaded, and when it cannot be: whoever asks begins nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datafusion::common::{Result, exec_err};
use debut_udfs::config::DebutConfig;
use debut_udfs::model::{Model, ModelInfo, ModelProvider};

use super::fakes::Fakes;
use super::{Server, engine, home};
use crate::inference::Models;
use crate::server::http::HttpEngine;
use crate::server::http::options::HttpOptions;

/// Models that are not loaded before the other end of the gate is dropped; if that said `()`, not at all.
#[derive(Debug)]
struct Gated {
    models: Fakes,
    gate: Mutex<Receiver<()>>,
    loads: AtomicUsize,
}

impl ModelProvider for Gated {
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        self.models.describe(reference, config)
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        match self.gate.lock().unwrap().recv() {
            Ok(()) => exec_err!("the file /srv/home/model is damaged"),
            Err(_) => self.models.load(reference, config),
        }
    }
}

async fn unready(server: &Server, message: &str) {
    for _ in 0..20 {
        let answer = server.send("GET", "/ready", &[("Authorization", "")], b"").await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, error["code"].as_str()), (503, Some("not_ready")));
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_begins_nothing() {
    let (open, gate) = channel();
    let models = Fakes::over(Arc::new(Models::new(home().clone())));
    let gated = Arc::new(Gated { models, gate: Mutex::new(gate), loads: AtomicUsize::new(0) });
    let over = HttpEngine { provider: Arc::clone(&gated) as _, ..engine() };
    let begun = Instant::now();
    let server = Server::over(over, HttpOptions::default()).await;
    unready(&server, "is being loaded").await;
    assert_eq!(server.get("/health").await.status, 200);
    assert!(gated.loads.load(Ordering::SeqCst) <= 1);
    open.send(()).unwrap();
    while !server.send("GET", "/ready", &[], b"").await.text().contains("could not be loaded") {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not told");
    }
    unready(&server, "is tried again").await;
    // Only time begins another one.
    let tried = gated.loads.load(Ordering::SeqCst);
    assert!(tried as u64 <= 1 + begun.elapsed().as_secs() / 10, "{tried}");
    drop(open);
    while server.get("/ready").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not loaded");
    }
}
