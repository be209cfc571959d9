//! `debut serve` as its clients meet it: the real program, a real client, and bytes that no client would send.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod catalog;
mod copy;
mod extended;
mod flight;
mod hostile;
mod http;
mod lifecycle;
mod login;
mod queries;
#[path = "../support/serve.rs"]
mod serve;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod values;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use serve::Server;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// A query that does not end by itself within a test's life.
pub const LONG: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

/// As long as anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
        serve::add_user(command(&folder), users);
        let arguments = [&["--users", users], arguments].concat();
        Self::start_in(folder, &arguments)
    }

    /// One without users, with this Debut home.
    pub fn in_home(home: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::serve_data(serve::command(folder.path(), home), folder, arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        Self::serve_data(command(&folder), folder, arguments)
    }

    fn serve_data(command: Command, folder: TempDir, arguments: &[&str]) -> Self {
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self::run(command, folder, &[&["--data", "data"], arguments].concat())
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
}

fn command(folder: &TempDir) -> Command {
    serve::command(folder.path(), &folder.path().join("home"))
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
