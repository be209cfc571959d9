//! Messages of the server: takes what is to be said; appends it to a buffer, in PostgreSQL's protocol 3.

use bytes::{BufMut, BytesMut};

use super::error::PgError;

/// What stands in ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// None.
    Idle,
    /// After BEGIN.
    Open,
    /// After BEGIN and an error: everything but its end is refused.
    Failed,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The OID of its type.
    pub(super) oid: u32,
    /// The bytes of a value; -1 where they vary.
    pub(super) size: i16,
    /// 0 for text, 1 for binary.
    pub(super) format: i16,
}

/// Appends a message whose body `write` appends.
fn message(output: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    output.put_u8(kind);
    let start = output.len();
    output.put_u32(0);
    write(output);
    // No message comes near 4 GiB: values are Arrow's, and what is longer than an i32 was refused before.
    let length = u32::try_from(output.len() - start).unwrap_or(u32::MAX);
    output[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn text(output: &mut BytesMut, text: &str) {
    // A zero byte would end the text early, and what follows would be read as something else.
    let text = text.split('\0').next().unwrap_or_default();
    output.put_slice(text.as_bytes());
    output.put_u8(0);
}

/// AuthenticationOk.
pub(super) fn authenticated(output: &mut BytesMut) {
    message(output, b'R', |body| body.put_u32(0));
}

/// AuthenticationSASL with the one mechanism.
pub(super) fn sasl(output: &mut BytesMut, mechanism: &str) {
    message(output, b'R', |body| {
        body.put_u32(10);
        text(body, mechanism);
        body.put_u8(0);
    });
}

/// AuthenticationSASLContinue.
pub(super) fn sasl_continue(output: &mut BytesMut, data: &str) {
    message(output, b'R', |body| {
        body.put_u32(11);
        body.put_slice(data.as_bytes());
    });
}

/// AuthenticationSASLFinal.
pub(super) fn sasl_final(output: &mut BytesMut, data: &str) {
    message(output, b'R', |body| {
        body.put_u32(12);
        body.put_slice(data.as_bytes());
    });
}

/// NegotiateProtocolVersion: this minor version, and none of these options.
pub(super) fn negotiate(output: &mut BytesMut, minor: u16, unknown: &[&str]) {
    message(output, b'v', |body| {
        body.put_u32(3 << 16 | u32::from(minor));
        body.put_u32(u32::try_from(unknown.len()).unwrap_or_default());
        unknown.iter().for_each(|option| text(body, option));
    });
}

/// BackendKeyData.
pub(super) fn key(output: &mut BytesMut, process: i32, key: &[u8]) {
    message(output, b'K', |body| {
        body.put_i32(process);
        body.put_slice(key);
    });
}

/// ParameterStatus.
pub(super) fn parameter(output: &mut BytesMut, name: &str, value: &str) {
    message(output, b'S', |body| {
        text(body, name);
        text(body, value);
    });
}

/// ReadyForQuery.
pub(super) fn ready(output: &mut BytesMut, transaction: Transaction) {
    let status = match transaction {
        Transaction::Idle => b'I',
        Transaction::Open => b'T',
        Transaction::Failed => b'E',
    };
    message(output, b'Z', |body| body.put_u8(status));
}

/// CommandComplete.
pub(super) fn complete(output: &mut BytesMut, tag: &str) {
    message(output, b'C', |body| text(body, tag));
}

/// EmptyQueryResponse.
pub(super) fn empty_query(output: &mut BytesMut) {
    message(output, b'I', |_| {});
}

/// ParseComplete.
pub(super) fn parsed(output: &mut BytesMut) {
    message(output, b'1', |_| {});
}

/// BindComplete.
pub(super) fn bound(output: &mut BytesMut) {
    message(output, b'2', |_| {});
}

/// CloseComplete.
pub(super) fn closed(output: &mut BytesMut) {
    message(output, b'3', |_| {});
}

/// PortalSuspended.
pub(super) fn suspended(output: &mut BytesMut) {
    message(output, b's', |_| {});
}

/// NoData.
pub(super) fn no_data(output: &mut BytesMut) {
    message(output, b'n', |_| {});
}

/// ParameterDescription.
pub(super) fn parameter_types(output: &mut BytesMut, oids: &[u32]) {
    message(output, b't', |body| {
        body.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
        oids.iter().for_each(|oid| body.put_u32(*oid));
    });
}

/// RowDescription.
pub(super) fn columns(output: &mut BytesMut, columns: &[Column<'_>]) {
    message(output, b'T', |body| {
        body.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
        for column in columns {
            text(body, column.name);
            // Of no table, and so no column of one.
            body.put_u32(0);
            body.put_u16(0);
            body.put_u32(column.oid);
            body.put_i16(column.size);
            body.put_i32(-1);
            body.put_i16(column.format);
        }
    });
}

/// CopyOutResponse: text in so many columns follows.
pub(super) fn copy_out(output: &mut BytesMut, columns: usize) {
    message(output, b'H', |body| {
        body.put_u8(0);
        body.put_u16(u16::try_from(columns).unwrap_or(u16::MAX));
        (0..columns).for_each(|_| body.put_u16(0));
    });
}

/// CopyData, which `write` appends.
pub(super) fn copy_data(output: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    message(output, b'd', write);
}

/// CopyDone.
pub(super) fn copy_done(output: &mut BytesMut) {
    message(output, b'c', |_| {});
}

/// DataRow of so many values, which `write` appends, each after its length; takes back all of it where that fails.
pub(super) fn row(
    output: &mut BytesMut,
    values: usize,
    write: impl FnOnce(&mut BytesMut) -> Result<(), PgError>,
) -> Result<(), PgError> {
    let start = output.len();
    let mut written = Ok(());
    message(output, b'D', |body| {
        body.put_u16(u16::try_from(values).unwrap_or(u16::MAX));
        written = write(body);
    });
    if written.is_err() {
        output.truncate(start);
    }
    written
}

/// ErrorResponse.
pub(super) fn error(output: &mut BytesMut, error: &PgError) {
    let severity = if error.fatal { "FATAL" } else { "ERROR" };
    message(output, b'E', |body| notice_fields(body, severity, error));
}

/// NoticeResponse.
pub(super) fn warning(output: &mut BytesMut, warning: &PgError) {
    message(output, b'N', |body| notice_fields(body, "WARNING", warning));
}

fn notice_fields(body: &mut BytesMut, severity: &str, error: &PgError) {
    let mut field = |kind: u8, value: &str| {
        body.put_u8(kind);
        text(body, value);
    };
    field(b'S', severity);
    field(b'V', severity);
    field(b'C', error.code);
    field(b'M', &error.message);
    if let Some(hint) = error.hint {
        field(b'H', hint);
    }
    if let Some(position) = error.position {
        field(b'P', &position.to_string());
    }
    body.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::super::error::codes;
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut output = BytesMut::new();
        write(&mut output);
        output.to_vec()
    }

    #[test]
    fn messages_are_written_as_the_protocol_reads_them() {
        assert_eq!(written(|output| ready(output, Transaction::Failed)), b"Z\0\0\0\x05E");
        assert_eq!(written(|output| sasl(output, "X")), b"R\0\0\0\x0b\0\0\0\x0aX\0\0");
        assert_eq!(written(|output| negotiate(output, 2, &["_pq_.a"])), b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.a\0");
        let column = Column { name: "a", oid: 23, size: 4, format: 1 };
        let expected = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01";
        assert_eq!(written(|output| columns(output, &[column])), expected);
        let mistake = PgError { position: Some(3), ..PgError::error(codes::SYNTAX_ERROR, "no\0t seen") };
        assert_eq!(written(|output| error(output, &mistake)), b"E\0\0\0\x21SERROR\0VERROR\0C42601\0Mno\0P3\0\0");
    }

    #[test]
    fn a_row_that_fails_leaves_nothing() {
        let mut output = BytesMut::new();
        let failed = row(&mut output, 1, |body| {
            body.put_u8(1);
            Err(PgError::error(codes::DATA_EXCEPTION, "x"))
        });
        assert!(failed.is_err() && output.is_empty());
    }
}
