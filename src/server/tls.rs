//! TLS of a server: takes the files of its certificate and key; gives rustls's settings, or an error that names the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates in PEM, the server's own first.
    pub certificate: PathBuf,
    /// The private key in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("cannot read the {what} '{}': {reason}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The certificate and the key are read but cannot be used.
    #[error("the certificate '{}' and the key '{}' cannot be used", files.certificate.display(), files.key.display())]
    Pair {
        /// Both.
        files: TlsFiles,
        /// Why not.
        source: rustls::Error,
    },
}

impl TlsFiles {
    /// Reads them. `protocol` is the name that clients who negotiate an application protocol (ALPN) must name.
    ///
    /// # Errors
    /// A file cannot be read, or the key is not the certificate's.
    pub fn load(&self, protocol: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
        let wrong = |what, path: &Path| {
            let path = path.to_owned();
            move |error: pem::Error| TlsError::File { what, path, reason: describe(error) }
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(wrong("certificate", &self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(wrong("private key", &self.key))?;
        // The one provider of this process, named: nothing depends on which one another part may have installed.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|source| TlsError::Pair { files: self.clone(), source })?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

fn describe(error: pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it (PEM is expected)".to_string(),
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => "there is no such file".to_string(),
        pem::Error::Io(error) => error.to_string(),
        error => format!("it is not PEM: {error}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn mistakes_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let fixture = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/tls").join(name);
        let load = |certificate: PathBuf, key: PathBuf| TlsFiles { certificate, key }.load(b"postgresql");
        assert!(load(fixture("certificate.pem"), fixture("key.pem")).is_ok());
        fs::write(path("empty"), "").unwrap();
        for (certificate, key, expected) in [
            (path("none"), fixture("key.pem"), "the certificate '"),
            (path("empty"), fixture("key.pem"), "there is none in it"),
            (fixture("certificate.pem"), path("none"), "the private key '"),
            (fixture("certificate.pem"), fixture("certificate.pem"), "there is none in it"),
            (fixture("certificate.pem"), fixture("other-key.pem"), "cannot be used"),
        ] {
            let message = load(certificate, key).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
