//! `debut serve` as a process that ends with its test.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// The password of the user `ada`.
pub const PASSWORD: &str = "pass wörd";

/// A server that ends with its test.
pub struct Server {
    pub child: Child,
    /// Where it speaks PostgreSQL's protocol.
    pub address: SocketAddr,
    /// Where it speaks Flight SQL.
    pub flight: SocketAddr,
    /// Where it answers HTTP, if it was started with that.
    pub http: Option<SocketAddr>,
    pub folder: TempDir,
}

impl Server {
    /// `debut serve` with these arguments in a folder, at free ports. What it says is read where `command` pipes it.
    pub fn run(mut command: Command, folder: TempDir, arguments: &[&str]) -> Self {
        let anywhere = "127.0.0.1:0";
        let mut child =
            command.args(["serve", "--postgres", anywhere, "--flight", anywhere]).args(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut address = |protocol: &str| {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line.trim().strip_prefix(protocol).and_then(|address| address.trim().parse().ok())
        };
        let (postgres, flight) = (address("postgres"), address("flight"));
        // It begins with loading a model: not where a test looks at what is computed.
        let http = if arguments.contains(&"--http") { address("http") } else { None };
        let (Some(address), Some(flight)) = (postgres, flight) else {
            let mut said = String::new();
            child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said).unwrap());
            panic!("the server does not start: {said}");
        };
        Self { child, address, flight, http, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The status with which it ends.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The memory that it holds, in bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// The time that its threads computed.
    pub fn computed(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in a folder, with a Debut home, and without what the environment says of it.
pub fn command(folder: &Path, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
    command.current_dir(folder).env("DEBUT_HOME", home);
    command.env_remove("DEBUT_OFFLINE").env_remove("DEBUT_LOG").env_remove("ORT_DYLIB_PATH");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Adds the user `ada` to a file of users.
pub fn add_user(mut command: Command, users: &str) {
    let mut add = command.args(["user", "add", "ada", "--users", users]).spawn().unwrap();
    add.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(add.wait().unwrap().success());
}
