//! A statement as text, for records and logs: takes a parsed statement; gives it on one line, without what may be secret.

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Value;

use super::statements::{Kind, Statement};

/// The longest text.
const LONGEST: usize = 2000;

/// The statement as it was parsed. Values of options that may hold a key are stars, and so is what a URL says of who asks.
pub fn text(statement: &Statement) -> String {
    let text = match &statement.kind {
        Kind::Sql(sql) => without_options(sql),
        Kind::Model(call) => {
            let arguments: Vec<String> = call.arguments.iter().map(|value| format!("'{value}'")).collect();
            format!("CALL {}({})", call.name, arguments.join(", "))
        }
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    short(&without_credentials(&line), LONGEST)
}

/// The beginning of a text.
pub fn short(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn without_options(statement: &DataFusionStatement) -> String {
    match statement {
        DataFusionStatement::CopyTo(copy) => {
            let mut copy = copy.clone();
            for (name, value) in &mut copy.options {
                let secret = ["key", "token", "secret", "credential", "password"];
                if secret.iter().any(|word| name.to_lowercase().contains(word)) {
                    *value = Value::SingleQuotedString("***".to_owned());
                }
            }
            // Its own text has the target without quotes.
            copy.target = format!("'{}'", copy.target);
            copy.to_string()
        }
        DataFusionStatement::Explain(explain) => format!("EXPLAIN {}", without_options(&explain.statement)),
        // The text of CREATE EXTERNAL TABLE leaves options out.
        other => other.to_string(),
    }
}

/// A text whose URLs name no user, password or signature.
pub fn without_credentials(text: &str) -> String {
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "'\")".contains(c)).unwrap_or(after.len());
        let (mut url, behind) = after.split_at(end);
        let host = url.find('/').unwrap_or(url.len());
        if let Some(at) = url[..host].rfind('@') {
            clean.push_str("***@");
            url = &url[at + 1..];
        }
        match url.split_once('?') {
            Some((path, query)) if query.contains('=') => {
                clean.push_str(path);
                clean.push_str("?***");
            }
            _ => clean.push_str(url),
        }
        rest = behind;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;
    use crate::engine::statements;

    fn texts(sql: &str) -> Vec<String> {
        statements::parse(sql, &GenericDialect {}).unwrap().iter().map(text).collect()
    }

    #[test]
    fn statements_are_one_line() {
        assert_eq!(
            texts("SELECT\n  $a -- why\n , 'x'; DROP MODEL m"),
            ["SELECT $a, 'x'", "CALL drop_model('m', 'false')"]
        );
        assert_eq!(texts("COPY (SELECT 1) TO 'out/{day}.csv'"), ["COPY (SELECT 1) TO 'out/{day}.csv'"]);
        assert_eq!(short("äöü", 2), "äö...");
        assert_eq!(short("äöü", 3), "äöü");
    }

    #[test]
    fn secrets_are_left_out() {
        let hidden = "COPY (SELECT 1) TO 's3://b/a.csv' OPTIONS ('aws.secret_access_key' 'geheim', 'aws.region' 'eu');
                      CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b/a.csv' OPTIONS ('aws.secret_access_key' 'geheim');
                      EXPLAIN COPY (SELECT 1) TO 's3://b/a.csv' OPTIONS ('aws.token' 'geheim');
                      SELECT * FROM 'https://ada:geheim@host/a.csv?X-Signature=geheim' WHERE a = 'b'";
        let shown = texts(hidden);
        assert!(shown.iter().all(|text| !text.contains("geheim")), "{shown:?}");
        assert!(shown[0].contains("'aws.region' 'eu'"), "{shown:?}");
        assert_eq!(shown[3], "SELECT * FROM 'https://***@host/a.csv?***' WHERE a = 'b'");
        assert_eq!(without_credentials("a://b://c"), "a://b://c");
    }
}
