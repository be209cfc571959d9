//! [`super`] against a server of its own on the loopback device, which answers as Hugging Face does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::fetch::files::{hexadecimal, sha256};
use crate::fetch::silent;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A repository `owner/tiny` with these files. Ends with the process.
struct Server {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: &[(&str, &[u8])], announced: Option<&str>) -> Self {
        let files = files.iter().map(|(name, body)| ((*name).to_owned(), body.to_vec())).collect::<BTreeMap<_, _>>();
        let announced = announced.map(str::to_owned);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, announced.as_deref(), &seen);
            }
        });
        Self { endpoint, requests }
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub {
            endpoint: self.endpoint.clone(),
            cache: cache.to_path_buf(),
            token: Some("secret".into()),
            offline: false,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads one request and answers it: the list of files, or a range of one.
fn answer(
    mut stream: TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
    announced: Option<&str>,
    seen: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let Some(request) = lines.next() else { return };
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect::<Vec<_>>();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(path.clone());
    assert!(headers.iter().any(|line| line == "authorization: bearer secret"), "{headers:?}");

    let (status, head, body) = if path == "/api/models/owner/tiny/revision/main" {
        let siblings = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect::<Vec<_>>();
        let list = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
        ("200 OK", String::new(), list.into_bytes())
    } else if let Some(body) = path.strip_prefix(&format!("/owner/tiny/resolve/{COMMIT}/")).and_then(|n| files.get(n)) {
        let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = start.parse::<usize>().unwrap();
        let end = end.parse::<usize>().map_or(body.len(), |end| end + 1);
        let hash = hexadecimal(&Sha256::digest(body));
        let etag = announced.unwrap_or(&hash);
        let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, body.len());
        let head = format!("{range}\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\n");
        ("206 Partial Content", head, body[start..end].to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n").unwrap();
    stream.write_all(&body).unwrap();
}

fn reference() -> Reference {
    "hf:owner/tiny".parse().unwrap()
}

#[test]
fn a_reference_names_a_repository_and_a_revision() {
    let of = |text: &str| text.parse::<Reference>();
    assert_eq!(of("hf:owner/name").unwrap().to_string(), "owner/name@main");
    assert_eq!(of("hf:owner/na.me_1@refs/pr/1").unwrap().to_string(), "owner/na.me_1@refs/pr/1");
    assert_eq!(of("hf:bert-base-uncased").unwrap().repository, "bert-base-uncased");
    for text in ["owner/name", "hf:", "hf:a/b/c", "hf:../x", "hf:a/..", "hf:a/b@", "hf:a/b@../..", "hf:a b", "hf:a/b?c"]
    {
        let message = of(text).unwrap_err().to_string();
        assert!(message.contains("hf:owner/name@revision"), "{text}: {message}");
    }
}

#[test]
fn what_an_import_needs_is_fetched_once_and_nothing_else() {
    let weights = vec![7; 100_000];
    let files: [(&str, &[u8]); 7] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{ }"),
        ("1_Pooling/config.json", b"{  }"),
        ("model.safetensors", &weights),
        ("pytorch_model.bin", b"pickle"),
        ("onnx/model.onnx", b"graph"),
        ("README.md", b"text"),
    ];
    let server = Server::start(&files, None);
    let cache = tempfile::tempdir().unwrap();
    let folder = server.hub(cache.path()).download(&reference(), &silent).unwrap();
    assert!(folder.ends_with(format!("models--owner--tiny/snapshots/{COMMIT}")));
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights);
    assert_eq!(fs::read(folder.join("1_Pooling/config.json")).unwrap(), b"{  }");
    for other in ["pytorch_model.bin", "onnx", "README.md"] {
        assert!(!folder.join(other).exists(), "{other}");
    }
    assert!(!server.requests().iter().any(|path| path.ends_with(".bin")));

    // The second time only the list is asked for.
    let before = server.requests().len();
    assert_eq!(server.hub(cache.path()).download(&reference(), &silent).unwrap(), folder);
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn a_graph_is_fetched_with_its_data_where_there_are_no_safetensors() {
    let files: [(&str, &[u8]); 5] = [
        ("tokenizer.json", b"{}"),
        ("onnx/model.onnx", b"graph"),
        ("onnx/model.onnx_data", b"data"),
        ("onnx/model_quantized.onnx", b"other"),
        ("pytorch_model.bin", b"pickle"),
    ];
    let server = Server::start(&files, None);
    let cache = tempfile::tempdir().unwrap();
    let folder = server.hub(cache.path()).download(&reference(), &silent).unwrap();
    assert_eq!(fs::read(folder.join("onnx/model.onnx_data")).unwrap(), b"data");
    assert!(!folder.join("onnx/model_quantized.onnx").exists());
}

#[test]
fn a_state_dict_is_fetched_where_there_is_nothing_else() {
    let files: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), ("preprocessor_config.json", b"{}"), ("pytorch_model.bin", b"weights")];
    // A model of pictures has no tokenizer; one of timm's has its settings in config.json.
    for files in [&files[..], &[files[0], files[2]]] {
        let server = Server::start(files, None);
        let cache = tempfile::tempdir().unwrap();
        let folder = server.hub(cache.path()).download(&reference(), &silent).unwrap();
        for (name, content) in files {
            assert_eq!(fs::read(folder.join(name)).unwrap(), *content, "{name}");
        }
    }
}

#[test]
fn weights_that_are_not_those_announced_are_thrown_away() {
    let other = hexadecimal(&Sha256::digest(b"another model"));
    let files: [(&str, &[u8]); 2] = [("model.safetensors", b"weights"), ("tokenizer.json", b"{}")];
    let server = Server::start(&files, Some(&other));
    let cache = tempfile::tempdir().unwrap();
    let error = server.hub(cache.path()).download(&reference(), &silent).unwrap_err();
    assert!(matches!(&error, Error::Checksum { expected, .. } if *expected == other), "{error}");
    let blobs = cache.path().join("models--owner--tiny/blobs");
    assert!(!blobs.join(&other).exists());
    assert!(sha256(&blobs.join(&other)).is_err());
}

#[test]
fn repositories_without_something_to_import_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&[("tf_model.h5", b"weights"), ("tokenizer.json", b"{}")], None);
    let message = server.hub(cache.path()).download(&reference(), &silent).unwrap_err().to_string();
    assert!(message.contains("owner/tiny@main") && message.contains("nor pytorch_model.bin"), "{message}");

    for other in ["README.md", "vocab.txt"] {
        let files: [(&str, &[u8]); 2] = [("model.safetensors", b"weights"), (other, b"text")];
        let server = Server::start(&files, None);
        let message = server.hub(cache.path()).download(&reference(), &silent).unwrap_err().to_string();
        assert!(message.contains("no tokenizer.json"), "{message}");
    }

    let unknown = "hf:owner/other".parse().unwrap();
    let message = server.hub(cache.path()).download(&unknown, &silent).unwrap_err().to_string();
    assert!(message.contains("owner/other") && message.contains("no such model"), "{message}");
    assert!(!cache.path().join("models--owner--other").exists());
}

#[test]
fn offline_and_unreachable_servers_are_told_apart() {
    let cache = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut hub =
        Hub { endpoint: format!("http://{free}"), cache: cache.path().to_path_buf(), token: None, offline: false };
    let message = hub.download(&reference(), &silent).unwrap_err().to_string();
    assert!(message.contains(&free.to_string()) && message.contains("check the network"), "{message}");
    hub.offline = true;
    let message = hub.download(&reference(), &silent).unwrap_err().to_string();
    assert!(message.contains("debut.offline") && message.contains("hf:owner/tiny"), "{message}");
}
