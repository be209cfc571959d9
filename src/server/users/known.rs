//! The users as a server knows them: takes the file; gives who they are, their secrets and tokens.
//!
//! The file is read and parsed once, and again when it has changed. Whether it has is asked at every login and every request,
//! so that who was removed is refused at the next one.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

use super::{Proof, Users, UsersError, hash, lines};
use crate::server::scram::Secret;

/// A file that was changed so shortly before it was read may change once more without a sign of it: the clocks of file
/// systems have ticks, of two seconds at the most.
const TICK: Duration = Duration::from_secs(2);

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    length: u64,
    changed: Option<SystemTime>,
    /// The device, the file's number on it, and when anything about it was changed last: a time that nobody can set.
    #[cfg(unix)]
    number: (u64, u64, i64, i64),
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: file.len(),
            changed: file.modified().ok(),
            #[cfg(unix)]
            number: (file.dev(), file.ino(), file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether a change from `now` on shows, where clocks have ticks of this length.
    fn is_settled(&self, now: SystemTime, tick: Duration) -> bool {
        let long_ago = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age > tick);
        #[cfg(unix)]
        let touched = u64::try_from(self.number.2).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        #[cfg(unix)]
        if !touched.is_ok_and(long_ago) {
            return false;
        }
        self.changed.is_some_and(long_ago)
    }
}

/// What was read last.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Mutex<Option<(Identity, Arc<Known>)>>,
    tick: Duration,
}

/// The users of a server, at a moment.
#[derive(Debug)]
pub struct Known {
    secrets: HashMap<String, Secret>,
    /// Names by the hashes of their tokens. How far a hash agrees with that of a guess tells nothing about the token.
    tokens: HashMap<String, String>,
    nobody: Arc<[u8; 32]>,
}

impl Known {
    /// Whether there is this user.
    pub fn contains(&self, name: &str) -> bool {
        self.secrets.contains_key(name)
    }

    /// The secret of a user; one that no password has where there is no such user, so that who asks cannot tell.
    pub fn secret(&self, name: &str) -> Secret {
        self.secrets.get(name).cloned().unwrap_or_else(|| Secret::of_nobody(self.nobody.as_ref(), name))
    }

    /// The user who has this token, if anybody has.
    pub fn of_token(&self, token: &str) -> Option<&str> {
        self.tokens.get(&hash(token)).map(String::as_str)
    }
}

impl Users {
    /// The users as they are now. Asks for the state of the file, and reads it, on a thread that may block, if it has
    /// changed.
    ///
    /// # Errors
    /// The file is not there, cannot be read, or has a malformed line.
    pub async fn known(&self) -> Result<Arc<Known>, UsersError> {
        let now = std::fs::metadata(&self.path).map_err(|source| self.failed("read", source))?;
        if let Some(known) = self.cache.of(&Identity::of(&now)) {
            return Ok(known);
        }
        let users = self.clone();
        let read = spawn_blocking(move || users.read()).await;
        read.map_err(|error| self.failed("read", io::Error::other(error)))?
    }

    fn read(&self) -> Result<Arc<Known>, UsersError> {
        let begun = SystemTime::now();
        let (identity, text) = open(&self.path).map_err(|source| self.failed("read", source))?;
        let mut known = Known { secrets: HashMap::new(), tokens: HashMap::new(), nobody: Arc::clone(&self.nobody) };
        for (name, proof) in lines(&self.path, &text)?.into_iter().flatten() {
            match proof {
                // Of two lines the first counts, as it always has.
                Proof::Password(secret) => drop(known.secrets.entry(name.to_owned()).or_insert(secret)),
                Proof::Token(hash) => drop(known.tokens.entry(hash).or_insert_with(|| name.to_owned())),
            }
        }
        let known = Arc::new(known);
        if identity.is_settled(begun, self.cache.tick) {
            *self.cache.lock() = Some((identity, Arc::clone(&known)));
        }
        Ok(known)
    }
}

/// A file's state and its text. The state is asked first: what is written in between shows in the next one.
fn open(path: &Path) -> io::Result<(Identity, String)> {
    let mut file = File::open(path)?;
    let identity = Identity::of(&file.metadata()?);
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((identity, text))
}

impl Default for Cache {
    fn default() -> Self {
        Self { kept: Mutex::default(), tick: TICK }
    }
}

impl Cache {
    fn of(&self, identity: &Identity) -> Option<Arc<Known>> {
        self.lock().as_ref().filter(|(kept, _)| kept == identity).map(|(_, known)| Arc::clone(known))
    }

    /// What is kept is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Option<(Identity, Arc<Known>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    /// Users in a file system whose clock has ticks of this length, as a server assumes.
    fn users(tick: Duration) -> (tempfile::TempDir, Users) {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::at(folder.path().join("users")).unwrap();
        (folder, Users { cache: Arc::new(Cache { tick, ..Cache::default() }), ..users })
    }

    #[tokio::test]
    async fn the_file_is_read_once_and_again_when_it_has_changed() {
        let (_folder, users) = users(Duration::ZERO);
        users.add("ada", "one").unwrap();
        users.add("bob", "two").unwrap();
        let first = users.known().await.unwrap();
        for of_another_protocol in [&users, &users.clone()] {
            assert!(Arc::ptr_eq(&first, &of_another_protocol.known().await.unwrap()), "it was read again");
        }
        users.remove("ada").unwrap();
        let second = users.known().await.unwrap();
        assert!(first.contains("ada") && !second.contains("ada") && second.contains("bob"));
        assert!(!second.secret("ada").verify("one"));
        assert!(Arc::ptr_eq(&second, &users.known().await.unwrap()));
        fs::write(users.path(), "ada\n").unwrap();
        assert!(users.known().await.is_err(), "a malformed file lets nobody in");
        fs::remove_file(users.path()).unwrap();
        assert!(users.known().await.is_err(), "nor does a missing one");
    }

    /// The same number, the same length, and often the same time.
    #[tokio::test]
    async fn a_change_shows_however_soon_after_another_it_is() {
        let (_folder, users) = users(TICK);
        for (token, other) in (0..200).map(|n| (format!("{n}"), format!("{}", n + 1))) {
            fs::write(users.path(), format!("ada:TOKEN${}\n", hash(&token))).unwrap();
            let known = users.known().await.unwrap();
            assert_eq!((known.of_token(&token), known.of_token(&other)), (Some("ada"), None));
        }
    }
}
