//! Who may connect: users, passwords, TLS, and the lines that `debut user` writes.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_rustls::TlsConnector;

use crate::*;

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/tls/");

#[tokio::test]
async fn only_who_knows_the_password_comes_in() {
    let server = Server::with_users(&[]);
    let client = connect(server.config().password("pass wörd")).await.unwrap();
    assert_eq!(rows(&client, "SELECT current_user, 1").await, ["ada|1"]);
    let wrong = told(&connect(server.config().password("pass word")).await.unwrap_err());
    assert_eq!(wrong, ("28P01".to_string(), "password authentication failed for user \"ada\"".to_string()));
    let nobody = told(&connect(server.config().user("bob").password("pass wörd")).await.unwrap_err());
    assert_eq!(nobody, ("28P01".to_string(), "password authentication failed for user \"bob\"".to_string()));
}

/// The messages of the server up to the refusal, of somebody who has a user's name and guesses.
fn refused(server: &Server, user: &str) -> Vec<(u8, usize)> {
    let mut socket = server.socket();
    socket.write_all(&startup(user)).unwrap();
    let mut messages = read_until(&mut socket, b'R');
    let first = b"n,,n=,r=abc";
    let body = [b"SCRAM-SHA-256\0", &u32::try_from(first.len()).unwrap().to_be_bytes()[..], first].concat();
    socket.write_all(&message(b'p', &body)).unwrap();
    messages.extend(read_until(&mut socket, b'R'));
    let challenge = String::from_utf8(messages[1].1[4..].to_vec()).unwrap();
    let nonce = challenge.split(',').next().unwrap();
    let proof = format!("c=biws,{nonce},p={}=", "A".repeat(43));
    socket.write_all(&message(b'p', proof.as_bytes())).unwrap();
    messages.extend(read_until(&mut socket, b'E'));
    assert!(is_closed(&mut socket));
    messages.iter().map(|(kind, body)| (*kind, body.len())).collect()
}

#[test]
fn a_missing_user_cannot_be_told_from_a_wrong_password() {
    let server = Server::with_users(&[]);
    assert_eq!(refused(&server, "ada"), refused(&server, "bob"));
    // The salt of who does not exist stays, as that of who does.
    let salt = || {
        let mut socket = server.socket();
        socket.write_all(&startup("bob")).unwrap();
        read_until(&mut socket, b'R');
        let body = [b"SCRAM-SHA-256\0", &11_u32.to_be_bytes()[..], b"n,,n=,r=abc"].concat();
        socket.write_all(&message(b'p', &body)).unwrap();
        let challenge = String::from_utf8(read_until(&mut socket, b'R')[0].1[4..].to_vec()).unwrap();
        challenge.split(',').nth(1).unwrap().to_string()
    };
    assert_eq!(salt(), salt());
}

#[tokio::test]
async fn a_user_who_is_added_while_the_server_runs_can_log_in() {
    let server = Server::with_users(&[]);
    let users = server.path("users");
    let users = users.to_str().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let mut child = command(&server.folder).args(arguments).args(["--users", users]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["user", "add", "bob"], "secret\n").0, Some(0));
    assert_eq!(run(&["user", "list"], "").1, "ada\nbob\n");
    assert!(connect(server.config().user("bob").password("secret")).await.is_ok());
    assert_eq!(run(&["user", "remove", "bob"], "").0, Some(0));
    assert!(connect(server.config().user("bob").password("secret")).await.is_err());
    let (status, _, said) = run(&["user", "add", "bob"], "");
    assert_eq!((status, said.contains("must not be empty")), (Some(1), true), "{said}");
    assert!(run(&["user", "remove", "bob"], "").2.contains("there is no user 'bob'"));
    assert!(!std::fs::read_to_string(users).unwrap().contains("pass"));
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(format!("{TLS}certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn tls_server(more: &[&str]) -> Server {
    let (certificate, key) = (format!("{TLS}certificate.pem"), format!("{TLS}key.pem"));
    Server::with_users(&[&["--tls-cert", &certificate, "--tls-key", &key], more].concat())
}

#[tokio::test]
async fn passwords_and_rows_go_through_tls() {
    let server = tls_server(&["--tls-required"]);
    for direct in [false, true] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        if !direct {
            socket.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").await.unwrap();
            assert_eq!(socket.read_u8().await.unwrap(), b'S');
        }
        let socket = connector().connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
        let mut config = server.config();
        config.password("pass wörd").ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect_raw(socket, NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
    }
}

#[tokio::test]
async fn where_tls_is_required_nothing_goes_without() {
    let server = tls_server(&["--tls-required"]);
    let (code, message) = told(&connect(server.config().password("pass wörd")).await.unwrap_err());
    assert_eq!((code.as_str(), message.contains("encrypted")), ("28000", true), "{message}");
    // Not even a password in plain text behind the request for TLS.
    let mut socket = server.socket();
    socket.write_all(&[b"\0\0\0\x08\x04\xd2\x16\x2f", startup("ada").as_slice()].concat()).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"S");
    assert!(is_closed(&mut socket));
}

#[tokio::test]
async fn without_a_certificate_the_request_is_refused_and_the_client_decides() {
    let server = Server::with_users(&[]);
    let mut socket = server.socket();
    socket.write_all(b"\0\0\0\x08\x04\xd2\x16\x30\0\0\0\x08\x04\xd2\x16\x2f").unwrap();
    let mut answers = [0; 2];
    socket.read_exact(&mut answers).unwrap();
    assert_eq!(answers, *b"NN");
    socket.write_all(&startup("ada")).unwrap();
    assert_eq!(read_until(&mut socket, b'R')[0].1[..4], 10_u32.to_be_bytes());
    // A handshake of TLS out of the blue ends at once.
    let mut socket = server.socket();
    socket.write_all(b"\x16\x03\x01\0\x05abcde").unwrap();
    assert!(is_closed(&mut socket));
}

#[test]
fn what_would_be_unsafe_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("users"), "# nobody\n").unwrap();
    let certificate = format!("{TLS}certificate.pem");
    let other = format!("{TLS}other-key.pem");
    for (arguments, expected) in [
        (&["--postgres", "0.0.0.0:0"][..], "without users anybody could connect"),
        (&[], "nothing to serve"),
        (&["--postgres", "0", "--tls-required"], "there is no certificate"),
        (&["--postgres", "0", "--users", "users"], "there are no users in 'users'"),
        (&["--postgres", "0", "--tls-cert", &certificate, "--tls-key", "none"], "cannot read the private key 'none'"),
        (&["--postgres", "0", "--tls-cert", &certificate, "--tls-key", &other], "cannot be used"),
        (&["--postgres", "192.0.2.1:1", "--users", "some"], "cannot listen on 192.0.2.1:1"),
    ] {
        std::fs::copy(folder.path().join("users"), folder.path().join("some")).unwrap();
        if arguments.contains(&"some") {
            let mut add = command(&folder).args(["user", "add", "a", "--users", "some"]).spawn().unwrap();
            add.stdin.take().unwrap().write_all(b"p\n").unwrap();
            assert!(add.wait().unwrap().success());
        }
        let output = command(&folder).arg("serve").args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}
