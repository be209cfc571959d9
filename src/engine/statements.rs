//! A script as statements: DataFusion's, and ours about models and trainings.
//!
//! Takes SQL text; gives parsed statements with the line each begins on.

use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::{
    FunctionArgumentList, FunctionArguments, SetExpr, Statement as SqlStatement, TableFactor,
};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Token;

/// One statement of a script.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What to do.
    pub kind: Kind,
    /// The line of the script that it begins on, from 1.
    pub line: u64,
}

/// What a statement does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// DataFusion's own statements.
    Sql(Box<DataFusionStatement>),
    /// A statement about models, as the table function that does the same.
    Model(FunctionCall),
}

/// A call of a table function: `SELECT * FROM name(arguments)`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionCall {
    /// The function.
    pub name: &'static str,
    /// Its literal arguments.
    pub arguments: Vec<ScalarValue>,
}

/// Splits and parses a script.
///
/// # Errors
/// The text is not SQL; the message says where.
pub fn parse(sql: &str, dialect: &dyn Dialect) -> Result<Vec<Statement>> {
    let mut parser = DFParserBuilder::new(sql).with_dialect(dialect).build()?;
    let mut statements = Vec::new();
    loop {
        while parser.parser.consume_token(&Token::SemiColon) {}
        let first = parser.parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let kind = match parse_model_statement(&mut parser)? {
            Some(call) => Kind::Model(call),
            None => {
                let mut statement = parser.parse_statement()?;
                select_from_calls(&mut statement, dialect)?;
                Kind::Sql(Box::new(statement))
            }
        };
        let next = parser.parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return plan_err!(
                "expected ';' or the end of the statement, found {} at line {}, column {}",
                next.token,
                next.span.start.line,
                next.span.start.column
            );
        }
        statements.push(Statement { kind, line: first.span.start.line });
    }
}

/// CREATE MODEL, ALTER MODEL, SHOW MODELS, DESCRIBE MODEL, DROP MODEL; `None`, with nothing consumed, for anything else.
fn parse_model_statement(parser: &mut DFParser<'_>) -> Result<Option<FunctionCall>> {
    let word = |parser: &mut DFParser<'_>, n: usize| match parser.parser.peek_nth_token(n).token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => String::new(),
    };
    let (first, second) = (word(parser, 0), word(parser, 1));
    let call = match (first.as_str(), second.as_str()) {
        ("CREATE", "MODEL") => create_model(parser)?,
        ("ALTER", "MODEL") => alter_model(parser)?,
        ("SHOW", "MODELS") => {
            skip(parser, 2);
            FunctionCall { name: "show_models", arguments: vec![] }
        }
        ("DESCRIBE" | "DESC", "MODEL") => {
            skip(parser, 2);
            FunctionCall { name: "describe_model", arguments: vec![name(parser, "DESCRIBE MODEL")?] }
        }
        ("DROP", "MODEL") => {
            skip(parser, 2);
            let if_exists = words(parser, &["IF", "EXISTS"]);
            FunctionCall { name: "drop_model", arguments: vec![name(parser, "DROP MODEL")?, if_exists.into()] }
        }
        _ => return Ok(None),
    };
    Ok(Some(call))
}

/// `CREATE MODEL name FROM 'source' [OPTIONS (key value, ...)]`.
fn create_model(parser: &mut DFParser<'_>) -> Result<FunctionCall> {
    const USAGE: &str = "CREATE MODEL name FROM 'folder, file or hf:owner/name' [OPTIONS (key 'value', ...)]";
    skip(parser, 2);
    let mut arguments = vec![name(parser, USAGE)?];
    if !words(parser, &["FROM"]) {
        return unexpected(parser, USAGE);
    }
    let source = parser.parser.next_token();
    let Token::SingleQuotedString(source) = source.token else {
        return plan_err!("CREATE MODEL: the source is a quoted string, not {}: {USAGE}", source.token);
    };
    arguments.push(source.into());
    if words(parser, &["OPTIONS"]) {
        parser.parser.expect_token(&Token::LParen).map_err(syntax)?;
        loop {
            let key = parser.parse_option_key()?;
            // Both `key value` and `key = value` are written.
            let _ = parser.parser.consume_token(&Token::Eq);
            let value = parser.parse_option_value()?;
            let value = value.clone().into_string().unwrap_or_else(|| value.to_string());
            arguments.push(format!("{key}={value}").into());
            if !parser.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        parser.parser.expect_token(&Token::RParen).map_err(syntax)?;
    }
    Ok(FunctionCall { name: "create_model", arguments })
}

/// `ALTER MODEL name USE VERSION number`.
fn alter_model(parser: &mut DFParser<'_>) -> Result<FunctionCall> {
    const USAGE: &str = "ALTER MODEL name USE VERSION number";
    skip(parser, 2);
    let name = name(parser, USAGE)?;
    if !words(parser, &["USE", "VERSION"]) {
        return unexpected(parser, USAGE);
    }
    let version = match parser.parser.peek_token().token {
        Token::Number(text, _) | Token::SingleQuotedString(text) => text,
        _ => return unexpected(parser, USAGE),
    };
    skip(parser, 1);
    Ok(FunctionCall { name: "use_version", arguments: vec![name, version.into()] })
}

/// Makes `CALL function(arguments)` a `SELECT * FROM function(arguments)`, also after EXPLAIN and in PREPARE.
fn select_from_calls(statement: &mut DataFusionStatement, dialect: &dyn Dialect) -> Result<()> {
    match statement {
        DataFusionStatement::Explain(explain) => select_from_calls(&mut explain.statement, dialect),
        DataFusionStatement::Statement(statement) => match statement.as_mut() {
            SqlStatement::Prepare { statement, .. } => select_from_call(statement, dialect),
            statement => select_from_call(statement, dialect),
        },
        _ => Ok(()),
    }
}

fn select_from_call(statement: &mut SqlStatement, dialect: &dyn Dialect) -> Result<()> {
    let SqlStatement::Call(function) = statement else { return Ok(()) };
    let written = function.to_string();
    // Anything but a name and its arguments would be lost.
    let plain = match std::mem::replace(&mut function.args, FunctionArguments::None) {
        FunctionArguments::None => {
            return plan_err!("after CALL {written} there are no arguments: CALL function(name => value, ...)");
        }
        FunctionArguments::List(FunctionArgumentList { args, duplicate_treatment: None, clauses })
            if clauses.is_empty() && format!("{function}") == function.name.to_string() =>
        {
            Some(args)
        }
        _ => None,
    };
    let Some(arguments) = plain else {
        return plan_err!("CALL {written}: CALL takes a function and its arguments only; write SELECT ... FROM");
    };
    let mut select = DFParserBuilder::new("SELECT * FROM function()").with_dialect(dialect).build()?;
    let mut select = select.parser.parse_statement().map_err(syntax)?;
    if let SqlStatement::Query(query) = &mut select
        && let SetExpr::Select(select) = query.body.as_mut()
        && let [from] = select.from.as_mut_slice()
        && let TableFactor::Table { name, args: Some(args), .. } = &mut from.relation
    {
        *name = function.name.clone();
        args.args = arguments;
    }
    *statement = select;
    Ok(())
}

fn skip(parser: &mut DFParser<'_>, tokens: usize) {
    for _ in 0..tokens {
        parser.parser.next_token();
    }
}

/// Consumes these words if all of them follow.
fn words(parser: &mut DFParser<'_>, expected: &[&str]) -> bool {
    let follow = expected.iter().enumerate().all(|(n, expected)| {
        matches!(&parser.parser.peek_nth_token(n).token, Token::Word(word) if word.value.eq_ignore_ascii_case(expected))
    });
    if follow {
        skip(parser, expected.len());
    }
    follow
}

/// A model's name: a quoted string or identifier, or bare words joined by `.`, `-`, `/` and `@`, such as
/// `all-MiniLM-L6-v2@1`, which SQL would take for arithmetic.
fn name(parser: &mut DFParser<'_>, usage: &str) -> Result<ScalarValue> {
    let first = parser.parser.peek_token();
    match &first.token {
        Token::SingleQuotedString(text) => {
            skip(parser, 1);
            return Ok(text.clone().into());
        }
        Token::Word(word) if word.quote_style.is_some() => {
            let text = word.value.clone();
            skip(parser, 1);
            return Ok(text.into());
        }
        _ => {}
    }
    let mut text = String::new();
    let mut end = first.span.start;
    loop {
        let token = parser.parser.peek_token();
        // Parts of one name touch each other.
        if token.span.start != end {
            break;
        }
        match &token.token {
            Token::Word(_) | Token::Number(..) | Token::Period | Token::Minus | Token::Div | Token::AtSign => {
                text.push_str(&token.token.to_string());
            }
            _ => break,
        }
        end = token.span.end;
        skip(parser, 1);
    }
    if text.is_empty() { unexpected(parser, usage) } else { Ok(text.into()) }
}

fn unexpected<T>(parser: &DFParser<'_>, usage: &str) -> Result<T> {
    let token = parser.parser.peek_token();
    plan_err!(
        "unexpected {} at line {}, column {}: {usage}",
        token.token,
        token.span.start.line,
        token.span.start.column
    )
}

fn syntax(error: ParserError) -> DataFusionError {
    DataFusionError::SQL(Box::new(error), None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;

    fn one(sql: &str) -> FunctionCall {
        let statements = parse(sql, &GenericDialect {}).unwrap();
        match &statements.as_slice() {
            [Statement { kind: Kind::Model(call), .. }] => call.clone(),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn statements_about_models() {
        assert_eq!(
            one("create model e5 from 'a''b/c' options (pooling 'cls', max_tokens 128)").arguments,
            ["e5", "a'b/c", "pooling=cls", "max_tokens=128"].map(ScalarValue::from)
        );
        assert_eq!(
            one("DROP MODEL IF EXISTS all-MiniLM-L6-v2@1;").arguments,
            ["all-MiniLM-L6-v2@1".into(), true.into()]
        );
        assert_eq!(one("DESCRIBE MODEL 'x y'").arguments, [ScalarValue::from("x y")]);
        assert_eq!(one("SHOW MODELS").name, "show_models");
        let call = one("alter model all-MiniLM-L6-v2 use version 2;");
        assert_eq!(call.name, "use_version");
        assert_eq!(call.arguments, ["all-MiniLM-L6-v2", "2"].map(ScalarValue::from));
    }

    #[test]
    fn a_call_selects_everything() {
        let sql = |sql: &str| match parse(sql, &GenericDialect {}).unwrap().swap_remove(0).kind {
            Kind::Sql(statement) => statement,
            Kind::Model(call) => panic!("{sql}: {call:?}"),
        };
        for before in ["", "EXPLAIN ", "explain verbose ", "EXPLAIN ANALYZE ", "EXPLAIN FORMAT TREE ", "PREPARE p AS "]
        {
            let called = "call finetune(model => 'm', epochs => -1, items => (SELECT 1, -- )\n 2)); SHOW MODELS";
            let written = "SELECT * FROM finetune(model => 'm', epochs => -1, items => (SELECT 1, 2))";
            assert_eq!(sql(&format!("{before}{called}")), sql(&format!("{before}{written}")), "{before}");
        }
    }

    #[test]
    fn scripts_are_split_outside_quotes_and_comments() {
        let sql = "SELECT ';' -- ;\n, 1;;\n/* ; */ SHOW MODELS;\nSELECT 2";
        let lines: Vec<u64> = parse(sql, &GenericDialect {}).unwrap().iter().map(|statement| statement.line).collect();
        assert_eq!(lines, [1, 3, 4]);
    }

    #[test]
    fn mistakes_are_named() {
        for (sql, part) in [
            ("CREATE MODEL m FROM x", "quoted string"),
            ("CREATE MODEL m", "CREATE MODEL name FROM"),
            ("DROP MODEL", "DROP MODEL"),
            ("ALTER MODEL m", "ALTER MODEL name USE VERSION number"),
            ("ALTER MODEL m USE VERSION x", "ALTER MODEL name USE VERSION number"),
            ("ALTER MODEL m USE 2", "ALTER MODEL name USE VERSION number"),
            ("SHOW MODELS please", "expected ';'"),
            ("CALL finetune", "CALL function(name => value, ...)"),
            ("EXPLAIN CALL finetune", "CALL function(name => value, ...)"),
            ("CALL finetune() OVER ()", "a function and its arguments only"),
            ("CALL finetune(DISTINCT 1)", "a function and its arguments only"),
            ("CALL finetune() AS f", "expected ';'"),
            ("CALL finetune() WHERE 1", "expected ';'"),
        ] {
            let message = parse(sql, &GenericDialect {}).unwrap_err().to_string();
            assert!(message.contains(part), "{sql}: {message}");
        }
    }

    #[test]
    fn tables_named_model_still_work() {
        let statements = parse("CREATE TABLE model AS SELECT 1; SELECT * FROM models", &GenericDialect {}).unwrap();
        assert!(statements.iter().all(|statement| matches!(statement.kind, Kind::Sql(_))));
    }
}
