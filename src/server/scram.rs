//! SCRAM-SHA-256 (RFC 5802, RFC 7677) for a server: takes a password once and gives the secret to store; takes a client's
//! messages and gives the answers.
//!
//! The secret is in PostgreSQL's text form, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, from which the
//! password cannot be computed. The exchange in `pgwire` wants the salted password instead, which is as good as the password
//! itself to who steals it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq;

/// The name of the mechanism.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// What PostgreSQL uses, too.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// Most iterations that a stored secret may ask for: the client computes them, but so does [`Secret::verify`].
const MOST_ITERATIONS: u32 = 10_000_000;

const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;

type Key = [u8; KEY_BYTES];

/// Why an exchange cannot go on. That a password is wrong is [`Failure::Proof`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The client does not speak the protocol.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The password is wrong, or there is no such user.
    #[error("the password is wrong")]
    Proof,
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system")]
    Random,
}

/// Random bytes of the operating system.
///
/// # Errors
/// There are none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Failure::Random)?;
    Ok(bytes)
}

/// What is stored of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Secret {
    /// The secret of a password, with a salt of its own.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn of_password(password: &str) -> Result<Self, Failure> {
        Ok(Self::derive(password, &random::<SALT_BYTES>()?, ITERATIONS))
    }

    fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        // As PostgreSQL: what SASLprep refuses is taken as it is.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted: Key = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: hash(&client_key),
            server_key: sign(&salted, b"Server Key"),
        }
    }

    /// A secret that no password has, for a user who does not exist: the same `key` and `name` give the same salt, so that
    /// the exchange tells nobody which users there are.
    pub fn of_nobody(key: &[u8], name: &str) -> Self {
        let salt = sign(key, name.as_bytes());
        Self {
            iterations: ITERATIONS,
            salt: salt[..SALT_BYTES].to_vec(),
            stored_key: sign(key, &salt),
            server_key: sign(key, b"nobody"),
        }
    }

    /// Whether this is the password. Takes the time of the iterations.
    pub fn verify(&self, password: &str) -> bool {
        let other = Self::derive(password, &self.salt, self.iterations);
        bool::from(other.stored_key.ct_eq(&self.stored_key))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iterations, salt, stored_key, server_key } = self;
        let [salt, stored_key, server_key] =
            [salt.as_slice(), stored_key, server_key].map(|bytes| BASE64.encode(bytes));
        write!(f, "{MECHANISM}${iterations}:{salt}${stored_key}:{server_key}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a secret is SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>";
        let rest = text.strip_prefix(MECHANISM).and_then(|rest| rest.strip_prefix('$')).ok_or(FORM)?;
        let (cost, keys) = rest.split_once('$').ok_or(FORM)?;
        let (iterations, salt) = cost.split_once(':').ok_or(FORM)?;
        let (stored, server) = keys.split_once(':').ok_or(FORM)?;
        let key = |text: &str| BASE64.decode(text).ok().and_then(|bytes| Key::try_from(bytes).ok()).ok_or(FORM);
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| FORM)?;
        if iterations.get() > MOST_ITERATIONS {
            return Err("a secret has too many iterations");
        }
        let salt = BASE64.decode(salt).map_err(|_| FORM)?;
        if salt.is_empty() {
            return Err(FORM);
        }
        Ok(Self { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug)]
pub struct Exchange {
    secret: Secret,
    /// `c=` of the client's last message.
    binding: String,
    nonce: String,
    /// The client's first message without its header, and the server's, as both sign them.
    signed: String,
}

impl Exchange {
    /// Takes the client's first message; gives the exchange and the answer.
    ///
    /// # Errors
    /// The message is malformed, or wants a channel binding, which was not offered.
    pub fn begin(secret: Secret, client_first: &[u8]) -> Result<(Self, String), Failure> {
        let nonce = BASE64.encode(random::<18>()?);
        Self::begin_with(secret, client_first, &nonce)
    }

    fn begin_with(secret: Secret, client_first: &[u8], server_nonce: &str) -> Result<(Self, String), Failure> {
        let text = std::str::from_utf8(client_first).map_err(|_| Failure::Malformed("not UTF-8"))?;
        // gs2-cbind-flag "," [authzid] "," client-first-message-bare
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(authzid), Some(bare)) => (flag, authzid, bare),
            _ => return Err(Failure::Malformed("no header")),
        };
        if !matches!(flag, "n" | "y") {
            return Err(Failure::Malformed("channel binding was not offered"));
        }
        if !authzid.is_empty() {
            return Err(Failure::Malformed("an authorization identity is not supported"));
        }
        let mut attributes = bare.split(',');
        // The name is that of the start-up message; PostgreSQL's clients leave this one empty.
        if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
            return Err(Failure::Malformed("no user name"));
        }
        let client_nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let Some(client_nonce) = client_nonce.filter(|nonce| !nonce.is_empty()) else {
            return Err(Failure::Malformed("no nonce"));
        };
        let nonce = format!("{client_nonce}{server_nonce}");
        let answer = format!("r={nonce},s={},i={}", BASE64.encode(&secret.salt), secret.iterations);
        let binding = BASE64.encode(format!("{flag},,"));
        Ok((Self { secret, binding, nonce, signed: format!("{bare},{answer}") }, answer))
    }

    /// Takes the client's last message; gives the answer if it proves that the client knows the password.
    ///
    /// # Errors
    /// It does not, or is malformed.
    pub fn finish(&self, client_final: &[u8]) -> Result<String, Failure> {
        let text = std::str::from_utf8(client_final).map_err(|_| Failure::Malformed("not UTF-8"))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failure::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        if attributes.next().and_then(|binding| binding.strip_prefix("c=")) != Some(&self.binding) {
            return Err(Failure::Malformed("another channel binding than before"));
        }
        if attributes.next().and_then(|nonce| nonce.strip_prefix("r=")) != Some(&self.nonce) {
            return Err(Failure::Malformed("another nonce than before"));
        }
        let proof = BASE64.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok());
        let proof = proof.ok_or(Failure::Malformed("the proof is not 32 bytes in base64"))?;
        let message = format!("{},{without_proof}", self.signed);
        let mut client_key = sign(&self.secret.stored_key, message.as_bytes());
        client_key.iter_mut().zip(&proof).for_each(|(byte, proof)| *byte ^= proof);
        if bool::from(hash(&client_key).ct_eq(&self.secret.stored_key)) {
            Ok(format!("v={}", BASE64.encode(sign(&self.secret.server_key, message.as_bytes()))))
        } else {
            Err(Failure::Proof)
        }
    }
}

fn sign(key: &[u8], message: &[u8]) -> Key {
    let mut tag: Key = [0; KEY_BYTES];
    tag.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    tag
}

fn hash(bytes: &[u8]) -> Key {
    let mut key: Key = [0; KEY_BYTES];
    key.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn secret(password: &str) -> Secret {
        Secret::derive(password, &BASE64.decode(SALT).unwrap(), ITERATIONS)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let (exchange, answer) = Exchange::begin_with(secret("pencil"), CLIENT_FIRST, SERVER_NONCE).unwrap();
        assert_eq!(answer, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(exchange.finish(CLIENT_FINAL).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_wrong_password_and_a_missing_user_fail_alike() {
        for secret in [secret("pencils"), Secret::of_nobody(b"key", "user")] {
            let (exchange, _) = Exchange::begin_with(secret, CLIENT_FIRST, SERVER_NONCE).unwrap();
            assert_eq!(exchange.finish(CLIENT_FINAL), Err(Failure::Proof));
        }
        let nobody = Secret::of_nobody(b"key", "user");
        assert_eq!(nobody, Secret::of_nobody(b"key", "user"));
        assert_ne!(nobody.salt, Secret::of_nobody(b"key", "other").salt);
        assert_eq!(nobody.salt.len(), SALT_BYTES);
    }

    #[test]
    fn malformed_messages_are_refused() {
        for first in
            ["", "n", "n,,", "n,,r=x", "n,,n=u", "n,,n=u,r=", "p=tls-unique,,n=u,r=x", "n,a=x,n=u,r=x", "x,,n=,r=x"]
        {
            assert!(Exchange::begin(secret("p"), first.as_bytes()).is_err(), "{first}");
        }
        assert!(Exchange::begin(secret("p"), b"n,,n=\xff,r=x").is_err());
        let (exchange, _) = Exchange::begin_with(secret("pencil"), CLIENT_FIRST, SERVER_NONCE).unwrap();
        let good = std::str::from_utf8(CLIENT_FINAL).unwrap();
        for last in
            ["", ",p=", "c=biws", &good.replace("biws", "eSws"), &good.replace("%hv", "%hw"), &good[..good.len() - 4]]
        {
            assert!(matches!(exchange.finish(last.as_bytes()), Err(Failure::Malformed(_))), "{last}");
        }
    }

    #[test]
    fn a_secret_is_written_as_postgresql_writes_it() {
        // `\password` of psql for the password 'pencil' and the salt of the RFC.
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
            wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(secret("pencil").to_string(), text);
        assert_eq!(text.parse::<Secret>().unwrap(), secret("pencil"));
        let own = Secret::of_password("pass wörd").unwrap();
        assert!(own.verify("pass wörd") && !own.verify("pass word"));
        assert_ne!(own, Secret::of_password("pass wörd").unwrap());
        assert_eq!(format!("{own:?}"), "Secret(...)");
        for wrong in ["", "md5abc", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-256$4096:$x:y", "SCRAM-SHA-256$4096"] {
            assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
        }
    }
}
