//! Who calls: takes the headers of a call; gives the user's name, or a refusal.
//!
//! A client sends its name and password once (a handshake with HTTP's Basic scheme) and gets a token, which it sends with
//! every call after that. Tokens are signed, not stored: the key lives as long as the process.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::engine::describe::chain;
use crate::server::scram::{Failure, random};
use crate::server::users::{Known, Users};

const HEADER: &str = "authorization";
const BASIC: &str = "Basic ";
const BEARER: &str = "Bearer ";

/// Some clients leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How long a token holds.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Passwords that are checked at a time: each costs milliseconds by design.
const CHECKS: usize = 2;

/// The user of a server without users.
const ANYBODY: &str = "";

/// Who may call.
#[derive(Debug, Clone)]
pub(super) struct Login {
    users: Option<Users>,
    key: Arc<hmac::Key>,
    checks: Arc<Semaphore>,
}

impl Login {
    /// These users; anybody if `None`.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub(super) fn new(users: Option<Users>) -> Result<Self, Failure> {
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?));
        Ok(Self { users, key, checks: Arc::new(Semaphore::new(CHECKS)) })
    }

    /// The user whose call this is.
    ///
    /// # Errors
    /// The headers name none, or prove nothing.
    pub(super) async fn user(&self, headers: &MetadataMap) -> Result<String, Status> {
        let Some(users) = &self.users else { return Ok(ANYBODY.to_owned()) };
        let Some(value) = headers.get(HEADER).and_then(|value| value.to_str().ok()) else {
            return Err(Status::unauthenticated("log in with a name and a password"));
        };
        if let Some(token) = scheme(value, BEARER) {
            let user =
                self.of_token(token).ok_or_else(|| Status::unauthenticated("the token does not hold; log in again"))?;
            // Who was taken out of the file of users is out.
            return if known(users).await?.contains(&user) { Ok(user) } else { Err(wrong()) };
        }
        let pair = scheme(value, BASIC).and_then(|pair| BASE64.decode(pair).ok());
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).ok_or_else(wrong)?;
        let (name, password) = pair.split_once(':').ok_or_else(wrong)?;
        self.check(users, name, password).await
    }

    /// A token for a user.
    pub(super) fn token(&self, user: &str) -> String {
        let until = now().saturating_add(LIFE.as_secs());
        let signed = format!("{until}:{user}");
        let tag = hmac::sign(&self.key, signed.as_bytes());
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        format!("{BEARER}{}.{}", encode(signed.as_bytes()), encode(tag.as_ref()))
    }

    fn of_token(&self, token: &str) -> Option<String> {
        let (signed, tag) = token.split_once('.')?;
        let signed = BASE64_URL_SAFE_NO_PAD.decode(signed).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key, &signed, &tag).ok()?;
        let signed = String::from_utf8(signed).ok()?;
        let (until, user) = signed.split_once(':')?;
        (until.parse::<u64>().ok()? > now()).then(|| user.to_owned())
    }

    async fn check(&self, users: &Users, name: &str, password: &str) -> Result<String, Status> {
        let _turn = self.checks.acquire().await.map_err(|_| wrong())?;
        let secret = known(users).await?.secret(name);
        let password = password.to_owned();
        let right = spawn_blocking(move || secret.verify(&password)).await.unwrap_or(false);
        if right { Ok(name.to_owned()) } else { Err(wrong()) }
    }
}

/// The users now.
async fn known(users: &Users) -> Result<Arc<Known>, Status> {
    users.known().await.map_err(|error| {
        tracing::error!("nobody can log in: {}", chain(&error));
        Status::internal("the server cannot check who calls; its log says why")
    })
}

/// The same for a wrong name and a wrong password.
fn wrong() -> Status {
    Status::unauthenticated("the name or the password is wrong")
}

/// What follows the name of a scheme, which may be written in any case.
fn scheme<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (start, rest) = value.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(value: &str) -> MetadataMap {
        let mut headers = MetadataMap::new();
        headers.insert(HEADER, value.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn a_password_gives_a_token_and_a_token_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::at(folder.path().join("users")).unwrap();
        users.add("ada", "pass:word").unwrap();
        let login = Login::new(Some(users.clone())).unwrap();
        let basic = |pair: &str| headers(&format!("basic {}", BASE64.encode(pair)));
        assert_eq!(login.user(&basic("ada:pass:word")).await.unwrap(), "ada");
        let unpadded = BASE64.encode("ada:pass:word").trim_end_matches('=').to_owned();
        assert!(BASE64.encode("ada:pass:word") != unpadded, "the test is about padding");
        assert_eq!(login.user(&headers(&format!("Basic {unpadded}"))).await.unwrap(), "ada");
        let token = login.token("ada");
        assert_eq!(login.user(&headers(&token)).await.unwrap(), "ada");
        for wrong in [basic("ada:pass"), basic("eve:pass:word"), basic("ada"), headers("Basic %"), headers("Digest x")]
        {
            let status = login.user(&wrong).await.unwrap_err();
            assert_eq!(status.message(), "the name or the password is wrong", "{wrong:?}");
        }
        // Another process' key, a changed name, an older time.
        let other = Login::new(Some(users.clone())).unwrap();
        let (signed, tag) = token.trim_start_matches(BEARER).split_once('.').unwrap();
        let renamed = BASE64_URL_SAFE_NO_PAD.encode(format!("{}:eve", now() + 9));
        for wrong in
            [other.token("ada"), format!("Bearer {renamed}.{tag}"), format!("Bearer {signed}"), "Bearer .".into()]
        {
            assert!(login.user(&headers(&wrong)).await.is_err(), "{wrong}");
        }
        users.remove("ada").unwrap();
        assert!(login.user(&headers(&token)).await.is_err(), "taken out of the file");
        assert!(login.user(&MetadataMap::new()).await.is_err());
        assert_eq!(Login::new(None).unwrap().user(&MetadataMap::new()).await.unwrap(), ANYBODY);
    }
}
