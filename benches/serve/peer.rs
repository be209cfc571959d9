//! A FastAPI server over sentence-transformers, as a process: takes a Python and a model's folder; gives its address.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::http::{Client, Request};

/// The peer's server.
pub(crate) struct Peer {
    child: Child,
    /// Where it answers.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts the peer and waits until it has its model; `None` where it is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
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
                    if Client::connect(peer.address)
                        .and_then(|mut client| client.post(&Request::embed("ready")))
                        .is_ok()
                    {
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
