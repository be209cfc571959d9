//! `debut serve` as its clients meet it: the real program, a real client, and bytes that no client would send.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod catalog;
mod extended;
mod flight;
mod hostile;
mod http;
mod lifecycle;
mod login;
mod queries;
mod types;
mod values;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// A query that does not end by itself within a test's life.
pub const LONG: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

/// As long as anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with its test.
pub struct Server {
    child: Child,
    /// Where it speaks PostgreSQL's protocol.
    pub address: SocketAddr,
    /// Where it speaks Flight SQL.
    pub flight: SocketAddr,
    /// Where it answers HTTP, if it was started with that.
    pub http: Option<SocketAddr>,
    pub folder: TempDir,
}

impl Server {
    /// One without users.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// One with a user, `ada`, whose password is `pass wörd`.
    pub fn with_users(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        let users = users.to_str().unwrap();
        let mut add = command(&folder).args(["user", "add", "ada", "--users", users]).spawn().unwrap();
        add.stdin.take().unwrap().write_all("pass wörd\n".as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let arguments = [&["--users", users], arguments].concat();
        Self::start_in(folder, &arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let anywhere = "127.0.0.1:0";
        let serve = ["serve", "--data", "data", "--postgres", anywhere, "--flight", anywhere];
        let mut child = command(&folder).args(serve).args(arguments).spawn().unwrap();
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
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the server does not start: {said}");
        };
        Self { child, address, flight, http, folder }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host(self.address.ip().to_string()).port(self.address.port()).user("ada").dbname("debut");
        config
    }

    pub async fn connect(&self) -> Client {
        connect(&self.config()).await.unwrap()
    }

    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
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

fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
    command.current_dir(folder.path()).env("DEBUT_HOME", folder.path().join("home"));
    command.env_remove("DEBUT_OFFLINE").env_remove("DEBUT_LOG").env_remove("ORT_DYLIB_PATH");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The rows of a simple query, as text; NULL is `~`.
pub async fn rows(client: &Client, sql: &str) -> Vec<String> {
    text(&client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")))
}

pub fn text(messages: &[SimpleQueryMessage]) -> Vec<String> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let values: Vec<&str> = (0..row.len()).map(|column| row.get(column).unwrap_or("~")).collect();
            Some(values.join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

/// The SQLSTATE of an error, and its message.
pub fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("not told by the server: {error:?}"));
    (error.code().code().to_string(), error.message().to_string())
}

/// The SQLSTATE that a statement fails with.
pub async fn code(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => panic!("{sql}: {:?}", text(&messages)),
        Err(error) => told(&error).0,
    }
}

/// The first message of a session.
pub fn startup(user: &str) -> Vec<u8> {
    let body = [&196_608_u32.to_be_bytes()[..], b"user\0", user.as_bytes(), b"\0\0"].concat();
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

/// A message of a session.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

/// Reads messages up to one of this kind; gives all of them.
pub fn read_until(socket: &mut TcpStream, last: u8) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head).unwrap_or_else(|error| panic!("{error} after {messages:?}"));
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        socket.read_exact(&mut body).unwrap();
        messages.push((head[0], body));
        if head[0] == last {
            return messages;
        }
    }
}

/// The fields of an ErrorResponse, such as `C` for its code.
pub fn field(message: &(u8, Vec<u8>), kind: u8) -> String {
    assert_eq!(message.0, b'E', "{message:?}");
    let fields = message.1.split(|byte| *byte == 0);
    let field = fields.filter(|field| field.first() == Some(&kind)).map(|field| &field[1..]);
    field.map(|field| String::from_utf8(field.to_vec()).unwrap()).next().unwrap_or_default()
}

/// Whether the server has closed its side of a socket.
pub fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    socket.read_to_end(&mut rest).map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true)
}
