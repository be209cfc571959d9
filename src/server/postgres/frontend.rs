//! Messages of a client: takes bytes as they came; gives messages, or an error where they are none.
//!
//! Every length is checked before it is used, and a message is read within its own bytes. (The decoder of `pgwire` panics
//! on short messages.)

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

use super::error::{PgError, codes};

/// As PostgreSQL: longest message before a client has said who it is.
const LONGEST_OPENING: usize = 10_000;
/// Longest message of an authentication.
pub(super) const LONGEST_PASSWORD: usize = 10_000;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    /// The client wants TLS.
    Ssl,
    /// The client wants encryption by GSSAPI.
    Gss,
    /// Another connection's statement is to be cancelled.
    Cancel {
        /// The connection.
        process: i32,
        /// The proof that it is the client's own.
        key: Bytes,
    },
    /// A session is to begin.
    Startup {
        /// The major version of the protocol.
        major: u16,
        /// The minor one.
        minor: u16,
        /// `user`, `database`, and settings.
        parameters: BTreeMap<String, String>,
    },
}

/// A message of a client in a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// One or more statements.
    Query(String),
    /// A statement to prepare.
    Parse {
        /// Empty for the unnamed one.
        name: String,
        /// The statement.
        sql: String,
        /// The types of its parameters; 0 where the server is to find out.
        types: Vec<u32>,
    },
    /// A portal to make of a prepared statement.
    Bind(Bind),
    /// What a prepared statement or a portal gives.
    Describe(Target),
    /// Rows of a portal.
    Execute {
        /// Empty for the unnamed one.
        portal: String,
        /// At most so many; all if 0.
        max_rows: usize,
    },
    /// A prepared statement or portal is not needed any more.
    Close(Target),
    /// Send what there is.
    Flush,
    /// The end of what belongs together.
    Sync,
    /// The client goes.
    Terminate,
    /// A step of the authentication.
    Password(Bytes),
    /// A part of a COPY, which is ignored where none is going on, as the protocol says.
    Copy,
}

/// A portal to make.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bind {
    /// Empty for the unnamed one.
    pub(super) portal: String,
    /// The prepared statement.
    pub(super) statement: String,
    /// 0 for text and 1 for binary: none, one for all, or one for each parameter.
    pub(super) parameter_formats: Vec<i16>,
    /// NULL is `None`.
    pub(super) parameters: Vec<Option<Bytes>>,
    /// The same for the columns of the result.
    pub(super) result_formats: Vec<i16>,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

impl Message {
    /// Whether an error in it is followed by silence until [`Message::Sync`].
    pub(super) fn is_extended(&self) -> bool {
        matches!(
            self,
            Self::Parse { .. }
                | Self::Bind(_)
                | Self::Describe(_)
                | Self::Execute { .. }
                | Self::Close(_)
                | Self::Flush
        )
    }
}

/// The first message of a connection, once it is there as a whole.
///
/// # Errors
/// It is none.
pub(super) fn opening(input: &mut BytesMut) -> Result<Option<Opening>, PgError> {
    let Some(mut body) = take(input, 0, LONGEST_OPENING)? else { return Ok(None) };
    let code = body.u32()?;
    let opening = match code {
        SSL_REQUEST => Opening::Ssl,
        GSS_REQUEST => Opening::Gss,
        CANCEL_REQUEST => Opening::Cancel { process: body.i32()?, key: body.rest() },
        _ => {
            let (major, minor) = ((code >> 16) as u16, (code & 0xffff) as u16);
            let mut parameters = BTreeMap::new();
            // Of another protocol nothing is known but its number.
            let mut name = if major == 3 { body.text()? } else { String::new() };
            while !name.is_empty() {
                parameters.insert(name, body.text()?);
                name = body.text()?;
            }
            Opening::Startup { major, minor, parameters }
        }
    };
    Ok(Some(opening))
}

/// The next message of a session, once it is there as a whole, if it is not longer than `longest`.
///
/// # Errors
/// It is too long or malformed; what follows cannot be understood then.
pub(super) fn message(input: &mut BytesMut, longest: usize) -> Result<Option<Message>, PgError> {
    let Some(&kind) = input.first() else { return Ok(None) };
    if !b"QPBDECHSXpdcf".contains(&kind) {
        return Err(PgError::protocol(format!("invalid frontend message type {kind}")));
    }
    let Some(mut body) = take(input, 1, longest)? else { return Ok(None) };
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => {
            let (name, sql) = (body.text()?, body.text()?);
            let count = body.u16()?;
            Message::Parse { name, sql, types: (0..count).map(|_| body.u32()).collect::<Result<_, _>>()? }
        }
        b'B' => {
            let (portal, statement) = (body.text()?, body.text()?);
            let parameter_formats = body.i16s()?;
            let count = body.u16()?;
            let parameters = (0..count).map(|_| body.value()).collect::<Result<_, _>>()?;
            let result_formats = body.i16s()?;
            Message::Bind(Bind { portal, statement, parameter_formats, parameters, result_formats })
        }
        b'D' => Message::Describe(body.target()?),
        b'C' => Message::Close(body.target()?),
        b'E' => {
            let portal = body.text()?;
            // As PostgreSQL: less than nothing is everything.
            Message::Execute { portal, max_rows: usize::try_from(body.i32()?).unwrap_or(0) }
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'p' => return Ok(Some(Message::Password(body.rest()))),
        _ => return Ok(Some(Message::Copy)),
    };
    if body.0.is_empty() { Ok(Some(message)) } else { Err(PgError::protocol("invalid message format")) }
}

/// The body of a message whose length stands after `before` bytes, if it is there as a whole.
fn take(input: &mut BytesMut, before: usize, longest: usize) -> Result<Option<Body>, PgError> {
    let Some(length) = input.get(before..before + 4) else { return Ok(None) };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    // The length counts itself, and nothing else of a message without a kind is shorter than its code.
    if length < if before == 0 { 8 } else { 4 } {
        return Err(PgError::protocol("invalid message length"));
    }
    if length > longest {
        let message = format!("a message of {length} bytes is too long: the limit is {longest} bytes here");
        return Err(PgError::fatal(codes::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if input.len() < before + length {
        return Ok(None);
    }
    let mut message = input.split_to(before + length);
    message.advance(before + 4);
    Ok(Some(Body(message.freeze())))
}

/// What is left of a message.
struct Body(Bytes);

impl Body {
    fn bytes(&mut self, count: usize) -> Result<Bytes, PgError> {
        if count > self.0.len() {
            return Err(PgError::protocol("insufficient data left in message"));
        }
        Ok(self.0.split_to(count))
    }

    fn u16(&mut self) -> Result<u16, PgError> {
        Ok(self.bytes(2)?.get_u16())
    }

    fn u32(&mut self) -> Result<u32, PgError> {
        Ok(self.bytes(4)?.get_u32())
    }

    fn i32(&mut self) -> Result<i32, PgError> {
        Ok(self.bytes(4)?.get_i32())
    }

    fn i16s(&mut self) -> Result<Vec<i16>, PgError> {
        let count = self.u16()?;
        let mut numbers = self.bytes(usize::from(count) * 2)?;
        Ok((0..count).map(|_| numbers.get_i16()).collect())
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<String, PgError> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| PgError::protocol("invalid string in message"))?;
        let text = self.bytes(end)?;
        self.0.advance(1);
        String::from_utf8(text.into()).map_err(|_| {
            PgError::fatal(codes::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
        })
    }

    fn value(&mut self) -> Result<Option<Bytes>, PgError> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.bytes(length).map(Some),
                Err(_) => Err(PgError::protocol("invalid length of a parameter")),
            },
        }
    }

    fn target(&mut self) -> Result<Target, PgError> {
        match self.bytes(1)?[0] {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            kind => Err(PgError::protocol(format!("invalid subtype {kind} of a message"))),
        }
    }

    fn rest(self) -> Bytes {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(kind: u8, body: &[u8]) -> BytesMut {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        BytesMut::from([&[kind][..], &length, body].concat().as_slice())
    }

    fn one(kind: u8, body: &[u8]) -> Result<Message, PgError> {
        message(&mut framed(kind, body), 1000).map(Option::unwrap)
    }

    #[test]
    fn messages_are_read_as_the_protocol_writes_them() {
        assert_eq!(one(b'Q', b"SELECT 1\0").unwrap(), Message::Query("SELECT 1".into()));
        let parse = Message::Parse { name: "s".into(), sql: "SELECT $1".into(), types: vec![23, 0] };
        assert_eq!(one(b'P', b"s\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0").unwrap(), parse);
        let bind = Bind {
            portal: String::new(),
            statement: "s".into(),
            parameter_formats: vec![1],
            parameters: vec![Some(Bytes::from_static(b"ab")), None],
            result_formats: vec![],
        };
        let body = b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\0";
        assert_eq!(one(b'B', body).unwrap(), Message::Bind(bind));
        assert_eq!(one(b'D', b"Ps\0").unwrap(), Message::Describe(Target::Portal("s".into())));
        assert_eq!(one(b'E', b"\0\0\0\0\x05").unwrap(), Message::Execute { portal: String::new(), max_rows: 5 });
        assert_eq!(one(b'E', b"\0\xff\xff\xff\xff").unwrap(), Message::Execute { portal: String::new(), max_rows: 0 });
    }

    #[test]
    fn a_message_that_is_not_whole_is_waited_for() {
        let whole = framed(b'Q', b"SELECT 1\0");
        for length in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..length]);
            assert_eq!(message(&mut part, 1000).unwrap(), None);
            assert_eq!(part.len(), length);
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        for (kind, body) in [
            (b'Q', &b"no end"[..]),
            (b'Q', b"\xff\0"),
            (b'Q', b"a\0b"),
            (b'P', b"s\0sql\0"),
            (b'P', b"s\0sql\0\xff\xff"),
            (b'B', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\0\0\0\x09ab"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'D', b""),
            (b'D', b"Xs\0"),
            (b'E', b"\0\0"),
            (b'z', b""),
        ] {
            assert!(one(kind, body).is_err(), "{} {body:?}", kind as char);
        }
        assert!(message(&mut BytesMut::from(&b"Q\0\0\0\x03"[..]), 1000).is_err());
        // Refused by its length, before it is there.
        let error = message(&mut BytesMut::from(&b"Q\x06\0\0\0"[..]), 1000).unwrap_err();
        assert_eq!(error.code, codes::PROGRAM_LIMIT_EXCEEDED);
        assert!(opening(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..])).is_err());
    }

    #[test]
    fn openings() {
        let open = |bytes: &[u8]| opening(&mut BytesMut::from(bytes)).unwrap().unwrap();
        assert_eq!(open(b"\0\0\0\x08\x04\xd2\x16\x2f"), Opening::Ssl);
        assert_eq!(open(b"\0\0\0\x08\x04\xd2\x16\x30"), Opening::Gss);
        let cancel = Opening::Cancel { process: 7, key: Bytes::from_static(b"abcd") };
        assert_eq!(open(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07abcd"), cancel);
        let parameters = BTreeMap::from([("user".into(), "ada".into())]);
        assert_eq!(open(b"\0\0\0\x12\0\x03\0\0user\0ada\0\0"), Opening::Startup { major: 3, minor: 0, parameters });
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0..13_usize) {
            let mut input = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = opening(&mut input) {}
            let mut input = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = message(&mut input, 1 << 20) {}
            let _ = one(b"QPBDECHSXpdcf"[kind], &bytes);
        }
    }
}
