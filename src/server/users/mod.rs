//! The users of a server: a file with a line `name:secret` for each, and `name:TOKEN$hash` for who has a token too. Takes names,
//! passwords and tokens; changes the file, which is replaced as a whole: a reader meets the old one or the new one.
//!
//! [`known`]: the same file as a server reads it.

mod known;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::scram::{Failure, Secret, random};
use crate::staging::sync_folder;
use known::Cache;

pub use known::Known;

/// In front of the hash of a token.
const TOKEN: &str = "TOKEN$";
/// As long as PostgreSQL's names.
const LONGEST_NAME: usize = 63;

/// Why the users cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read or written.
    #[error("cannot {action} the users file '{}'", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is no user.
    #[error("the users file '{}', line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name is no user's name.
    #[error(
        "'{}' is not a user's name: 1 to {LONGEST_NAME} bytes without ':', '#', spaces at its ends, or control characters",
        .0.escape_debug()
    )]
    Name(String),
    /// There is no such user.
    #[error("there is no user '{name}' in '{}'", path.display())]
    Unknown {
        /// Who.
        name: String,
        /// Where.
        path: PathBuf,
    },
    /// The password is empty.
    #[error("a password must not be empty")]
    EmptyPassword,
    /// The password cannot be hashed.
    #[error(transparent)]
    Secret(#[from] Failure),
}

/// What a line says of its user.
enum Proof {
    Password(Secret),
    /// The hash of a token.
    Token(String),
}

/// A token is random, so that its hash needs no salt and no work.
fn hash(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

/// The users in a file.
#[derive(Debug, Clone)]
pub struct Users {
    path: PathBuf,
    /// Makes up the secrets of who does not exist, the same ones as long as the process lives.
    nobody: Arc<[u8; 32]>,
    /// What a server has read.
    cache: Arc<Cache>,
}

impl Users {
    /// The users in the file at `path`, which is read when they are asked for.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, UsersError> {
        Ok(Self { path: path.into(), nobody: Arc::new(random()?), cache: Arc::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names, in the order of the file; none where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or a line is malformed.
    pub fn names(&self) -> Result<Vec<String>, UsersError> {
        let text = self.read_or_empty()?;
        let users = lines(&self.path, &text)?.into_iter().flatten();
        Ok(users.filter(|(_, proof)| matches!(proof, Proof::Password(_))).map(|(name, _)| name.to_string()).collect())
    }

    /// Makes a token for a user, in the place of the one before, if there is one. Only its hash is kept.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be read or replaced.
    pub fn set_token(&self, name: &str) -> Result<String, UsersError> {
        let token = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
        let line = format!("{name}:{TOKEN}{}", hash(&token));
        let _lock = self.lock()?;
        let text = self.read_or_empty()?;
        let users = lines(&self.path, &text)?;
        let is_it = |user: &Option<(&str, Proof)>| user.as_ref().is_some_and(|(user, _)| *user == name);
        self.require(name, users.iter().any(is_it))?;
        let is_old = |user: &Option<(&str, Proof)>| is_it(user) && matches!(user, Some((_, Proof::Token(_))));
        let kept = text.lines().zip(&users).filter(|(_, user)| !is_old(user)).map(|(line, _)| line);
        let lines: Vec<&str> = kept.chain([line.as_str()]).collect();
        self.replace(&lines)?;
        Ok(token)
    }

    /// Adds a user, or changes the password of one. Returns whether the user is new.
    ///
    /// # Errors
    /// The name is none, the password is empty, or the file cannot be read or replaced.
    pub fn add(&self, name: &str, password: &str) -> Result<bool, UsersError> {
        check_name(name)?;
        if password.is_empty() {
            return Err(UsersError::EmptyPassword);
        }
        let line = format!("{name}:{}", Secret::of_password(password)?);
        let _lock = self.lock()?;
        let text = self.read_or_empty()?;
        let users = lines(&self.path, &text)?;
        let mut lines: Vec<&str> = text.lines().collect();
        let at = users.iter().position(|user| matches!(user, Some((user, Proof::Password(_))) if *user == name));
        match at.and_then(|at| lines.get_mut(at)) {
            Some(place) => *place = &line,
            None => lines.push(&line),
        }
        self.replace(&lines)?;
        Ok(at.is_none())
    }

    /// Removes a user.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be read or replaced.
    pub fn remove(&self, name: &str) -> Result<(), UsersError> {
        let _lock = self.lock()?;
        let text = self.read_or_empty()?;
        let users = lines(&self.path, &text)?;
        let is_it = |user: &Option<(&str, Proof)>| user.as_ref().is_some_and(|(user, _)| *user == name);
        self.require(name, users.iter().any(is_it))?;
        let kept: Vec<&str> = text.lines().zip(&users).filter(|(_, user)| !is_it(user)).map(|(line, _)| line).collect();
        self.replace(&kept)
    }

    fn require(&self, name: &str, is_there: bool) -> Result<(), UsersError> {
        if is_there { Ok(()) } else { Err(UsersError::Unknown { name: name.to_string(), path: self.path.clone() }) }
    }

    fn read_or_empty(&self) -> Result<String, UsersError> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| self.failed("read", source)),
        }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Holds off other changes; the lock is the folder's, which stays when the file is replaced.
    fn lock(&self) -> Result<File, UsersError> {
        let lock = || {
            let folder = File::open(self.folder())?;
            folder.lock()?;
            Ok(folder)
        };
        lock().map_err(|source| self.failed("lock the folder of", source))
    }

    /// Puts these lines in the place of the file. Only its owner may read it.
    fn replace(&self, lines: &[&str]) -> Result<(), UsersError> {
        let write = || -> io::Result<()> {
            // Made with mode 0600.
            let mut file = NamedTempFile::new_in(self.folder())?;
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            sync_folder(self.folder())
        };
        write().map_err(|source| self.failed("write", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> UsersError {
        UsersError::File { action, path: self.path.clone(), source }
    }
}

/// A user, and what proves who it is, for each line of the file; `None` for comments and empty lines.
fn lines<'a>(path: &Path, text: &'a str) -> Result<Vec<Option<(&'a str, Proof)>>, UsersError> {
    let parse = |(index, line): (usize, &'a str)| {
        let wrong = |reason| UsersError::Line { path: path.to_owned(), line: index + 1, reason };
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (name, secret) = line.split_once(':').ok_or_else(|| wrong("it is not `name:secret`"))?;
        check_name(name).map_err(|_| wrong("it does not begin with a user's name"))?;
        let secret = secret.trim_end();
        let proof = match secret.strip_prefix(TOKEN) {
            Some(hash) => Proof::Token(hash.to_string()),
            None => Proof::Password(secret.parse().map_err(wrong)?),
        };
        Ok(Some((name, proof)))
    };
    text.lines().enumerate().map(parse).collect()
}

fn check_name(name: &str) -> Result<(), UsersError> {
    let good = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.trim() == name
        && !name.contains([':', '#'])
        && !name.contains(char::is_control);
    if good { Ok(()) } else { Err(UsersError::Name(name.to_string())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn users() -> (tempfile::TempDir, Users) {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::at(folder.path().join("users")).unwrap();
        (folder, users)
    }

    #[tokio::test]
    async fn users_come_change_and_go() {
        let (_folder, users) = users();
        assert_eq!(users.names().unwrap(), Vec::<String>::new());
        assert!(users.add("ada", "one").unwrap());
        assert!(users.add("bob smith", "two").unwrap());
        assert!(!users.add("ada", "three").unwrap());
        assert_eq!(users.names().unwrap(), ["ada", "bob smith"]);
        let secret = users.known().await.unwrap().secret("ada");
        assert!(secret.verify("three") && !secret.verify("one"));
        users.remove("ada").unwrap();
        assert!(!users.known().await.unwrap().secret("ada").verify("three"));
        let unknown = users.remove("ada").unwrap_err().to_string();
        assert!(unknown.starts_with("there is no user 'ada'"), "{unknown}");
        let secret = async || users.known().await.unwrap().secret("ada");
        assert!(secret().await == secret().await, "of who does not exist");
    }

    #[tokio::test]
    async fn a_token_is_its_users_until_there_is_another() {
        let (_folder, users) = users();
        assert!(users.set_token("ada").is_err(), "there is no such user");
        users.add("ada", "one").unwrap();
        users.add("bob", "two").unwrap();
        let (ada, bob) = (users.set_token("ada").unwrap(), users.set_token("bob").unwrap());
        assert_eq!(users.known().await.unwrap().of_token(&ada), Some("ada"));
        assert_eq!(users.known().await.unwrap().of_token(&bob), Some("bob"));
        assert!(!fs::read_to_string(users.path()).unwrap().contains(&ada), "the token itself is not kept");
        let second = users.set_token("ada").unwrap();
        assert_eq!(users.known().await.unwrap().of_token(&ada), None);
        users.add("ada", "three").unwrap();
        assert_eq!(users.known().await.unwrap().of_token(&second), Some("ada"), "a new password leaves it");
        assert_eq!(users.names().unwrap(), ["ada", "bob"]);
        users.remove("ada").unwrap();
        assert_eq!(users.known().await.unwrap().of_token(&second), None);
        assert!(!users.known().await.unwrap().secret("ada").verify("three"));
        assert_eq!(users.known().await.unwrap().of_token(""), None);
    }

    #[test]
    fn comments_stay() {
        let (_folder, users) = users();
        fs::write(users.path(), "# dashboards\n\n").unwrap();
        users.add("ada", "one").unwrap();
        users.add("bob", "two").unwrap();
        users.remove("ada").unwrap();
        let text = fs::read_to_string(users.path()).unwrap();
        assert!(text.starts_with("# dashboards\n\nbob:SCRAM-SHA-256$4096:"), "{text}");
    }

    #[test]
    #[cfg(unix)]
    fn only_the_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, users) = users();
        users.add("ada", "one").unwrap();
        assert_eq!(fs::metadata(users.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        let (_folder, users) = users();
        for name in ["", "a:b", "#a", " a", "a\n", &"x".repeat(64)] {
            assert!(matches!(users.add(name, "p"), Err(UsersError::Name(_))), "{name}");
        }
        assert!(matches!(users.add("ada", ""), Err(UsersError::EmptyPassword)));
        assert!(!users.path().exists());
        assert!(users.known().await.is_err(), "a missing file lets nobody in");
        fs::write(users.path(), "# one\nada:secret\n").unwrap();
        let message = users.known().await.unwrap_err().to_string();
        assert!(message.contains("line 2: a secret is SCRAM-SHA-256$"), "{message}");
    }
}
