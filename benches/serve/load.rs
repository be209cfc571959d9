//! Fifty clients of all protocols at once, for minutes: takes the bundled shop; prints latencies by kind of request, and the
//! program's memory by the minute.
//!
//! Twenty clients speak PostgreSQL's protocol (half of them with parameters), ten Flight SQL, twenty HTTP. Each goes through its
//! kinds of request in turn and waits for each answer. The first error ends the bench.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io::BufRead, io::BufReader};

use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tokio_postgres::NoTls;
use tonic::transport::Endpoint;

use crate::Result;
use crate::http::{Client, Request};
use crate::latencies::Latencies;

const POSTGRES: usize = 20;
const FLIGHT: usize = 10;
const HTTP: usize = 20;

/// Dashboards and notebooks ask such things: aggregates, a join, the newest products, a whole table, the catalog, and scores.
const STATEMENTS: [(&str, &str); 6] = [
    ("aggregate", "SELECT event, count(*), count(DISTINCT customer_id) FROM 'interactions.parquet' GROUP BY event"),
    (
        "join",
        "SELECT p.category, count(*) AS sold FROM 'interactions.parquet' AS i JOIN 'products.parquet' AS p
         ON p.product_id = i.product_id WHERE i.event = 'purchase' GROUP BY p.category ORDER BY sold DESC",
    ),
    (
        "newest",
        "SELECT title, price, launched_at FROM 'products.parquet' ORDER BY launched_at DESC, product_id LIMIT 50",
    ),
    ("table", "SELECT * FROM 'products.parquet'"),
    ("catalog", "SELECT table_schema, table_name FROM information_schema.tables"),
    (
        "score",
        "SELECT title, score('a gift for somebody who loves tea', title) AS fit FROM 'products.parquet'
         WHERE launched_at >= '2025-12-30' ORDER BY fit DESC LIMIT 10",
    ),
];

/// The same with parameters.
const WITH_PARAMETER: (&str, &str) = ("lookup", "SELECT title, price FROM 'products.parquet' WHERE product_id = $1");

/// Runs the load for `length`.
pub(crate) fn run(length: Duration) -> Result<()> {
    let server = Server::start()?;
    let before = server.memory()?;
    let (sender, finished) = mpsc::channel();
    let end = Instant::now() + length;
    for client in 0..POSTGRES + FLIGHT + HTTP {
        let (sender, addresses) = (sender.clone(), server.addresses);
        thread::spawn(move || {
            let times = match client {
                0..POSTGRES => postgres(addresses[0], client, end),
                _ if client < POSTGRES + FLIGHT => flight(addresses[1], client, end),
                _ => http(addresses[2], client, end),
            };
            // Nobody listens any more where another client has failed.
            let _ = sender.send(times);
        });
    }
    drop(sender);
    println!("{POSTGRES} clients of PostgreSQL, {FLIGHT} of Flight SQL, {HTTP} of HTTP; memory before: {before} MiB");
    let mut all = Times::new();
    let mut minute = Instant::now();
    loop {
        match finished.recv_timeout(Duration::from_secs(60).saturating_sub(minute.elapsed())) {
            Ok(times) => {
                for (kind, times) in times? {
                    all.entry(kind).or_default().extend(times);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                minute = Instant::now();
                println!("memory: {} MiB", server.memory()?);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for (kind, latencies) in &all {
        let per_second = latencies.len() as f64 / length.as_secs_f64();
        println!("{kind:<20} {:>8} requests {per_second:>8.1}/s   {latencies}", latencies.len());
    }
    println!("memory after: {} MiB; no error", server.memory()?);
    Ok(())
}

/// How long requests took, by their kind.
type Times = BTreeMap<String, Latencies>;

fn postgres(address: SocketAddr, client: usize, end: Instant) -> Result<Times> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host(address.ip().to_string()).port(address.port()).user("ada").dbname("debut");
        let (session, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        let lookup = session.prepare(WITH_PARAMETER.1).await?;
        let mut times = Times::new();
        for turn in client.. {
            if Instant::now() >= end {
                break;
            }
            let begun = Instant::now();
            if client.is_multiple_of(2) && turn.is_multiple_of(2) {
                let product = i64::try_from(1 + turn % 2000)?;
                session.query(&lookup, &[&product]).await?;
                times.entry(format!("postgres {}", WITH_PARAMETER.0)).or_default().push(begun.elapsed());
            } else {
                let (kind, sql) = STATEMENTS[turn % STATEMENTS.len()];
                session.simple_query(sql).await?;
                times.entry(format!("postgres {kind}")).or_default().push(begun.elapsed());
            }
        }
        Ok(times)
    })
}

fn flight(address: SocketAddr, client: usize, end: Instant) -> Result<Times> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let mut session = FlightSqlServiceClient::new(channel);
        let mut times = Times::new();
        for turn in client.. {
            if Instant::now() >= end {
                break;
            }
            let begun = Instant::now();
            let (kind, sql) = STATEMENTS[turn % STATEMENTS.len()];
            let info = session.execute(sql.to_owned(), None).await?;
            for endpoint in info.endpoint {
                let rows = session.do_get(endpoint.ticket.ok_or("an endpoint without a ticket")?).await?;
                rows.try_for_each(|_| async { Ok(()) }).await?;
            }
            times.entry(format!("flight {kind}")).or_default().push(begun.elapsed());
        }
        Ok(times)
    })
}

fn http(address: SocketAddr, client: usize, end: Instant) -> Result<Times> {
    let mut session = Client::connect(address)?;
    let mut times = Times::new();
    for turn in client.. {
        if Instant::now() >= end {
            break;
        }
        let text = format!("a gift for somebody who loves tea, number {client} {turn}");
        let (kind, request) = if turn.is_multiple_of(2) {
            ("http embed", Request::embed(&text))
        } else {
            (
                "http score",
                Request::score(&text, &["a teapot", "a wool scarf", "a tin of green tea"].map(str::to_owned)),
            )
        };
        let begun = Instant::now();
        session.post(&request)?;
        times.entry(kind.to_owned()).or_default().push(begun.elapsed());
    }
    Ok(times)
}

/// The program, until the bench ends.
struct Server {
    child: Child,
    /// PostgreSQL, Flight SQL, HTTP.
    addresses: [SocketAddr; 3],
}

impl Server {
    fn start() -> Result<Self> {
        let anywhere = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_debut"))
            .args(["serve", "--postgres", anywhere, "--flight", anywhere, "--http", anywhere, "--data"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("data"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the program has no output")?);
        let mut address = || -> Result<SocketAddr> {
            let mut line = String::new();
            lines.read_line(&mut line)?;
            let (_, address) = line.trim().split_once(' ').ok_or("the program does not listen")?;
            Ok(address.parse()?)
        };
        let addresses = [address()?, address()?, address()?];
        // The model is loaded before the clock runs.
        Client::connect(addresses[2])?.post(&Request::embed("ready"))?;
        Ok(Self { child, addresses })
    }

    /// Memory that it holds, in MiB.
    fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the program has ended")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
