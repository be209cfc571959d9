//! A statement that a client prepares: takes its text and the types that the client knows; gives its plan, the types of its
//! parameters, and the columns of its result.
//!
//! How a statement with parameters is planned is in `server::parameters`; here are PostgreSQL's types for them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::tokenizer::Token;
use postgres_types::Type;

use super::copy::Layout;
use super::error::{PgError, codes};
use super::parameters as decode;
use super::script::Piece;
use super::types::{self, VectorOutput};
use super::utility::Utility;
use crate::engine::{Session, Statement};
use crate::server::parameters;

/// What a statement is.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// Nothing at all.
    Empty,
    /// About the session.
    Utility(Utility),
    /// The engine's.
    Engine(Statement),
    /// COPY ... TO STDOUT, whose query is the engine's.
    Copy {
        /// How its rows are written.
        layout: Layout,
        /// The query.
        query: Statement,
    },
    /// DECLARE of a cursor, whose query is the engine's.
    Declare {
        /// The cursor's name.
        name: String,
        /// Whether its rows are to be in binary.
        binary: bool,
        /// Whether it outlives its transaction.
        hold: bool,
        /// The query.
        query: Statement,
    },
}

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What it is.
    pub(super) command: Command,
    /// Its text, to place errors in.
    pub(super) sql: String,
    /// The types of its parameters.
    pub(super) parameters: Vec<Parameter>,
    /// Its plan, where it could be planned without the values.
    pub(super) plan: Option<LogicalPlan>,
    /// The columns of its result, if it has one.
    pub(super) schema: Option<SchemaRef>,
}

/// A parameter of a statement.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// What the client sends.
    pub(super) pg_type: Type,
    /// What the statement wants, where it is known.
    pub(super) target: Option<DataType>,
}

impl Parameter {
    /// The client's type, else one for what the statement wants, else text.
    fn new(known: Option<Type>, wanted: Option<FieldRef>) -> Self {
        match (known, wanted) {
            (Some(pg_type), _) => Self { pg_type, target: None },
            (None, Some(wanted)) => {
                let pg_type = types::of_field(&wanted, VectorOutput::Array).ok();
                let pg_type = pg_type.filter(|found| decode::arrow_type(found).is_some()).unwrap_or(Type::TEXT);
                Self { pg_type, target: Some(wanted.data_type().clone()) }
            }
            (None, None) => Self { pg_type: Type::TEXT, target: None },
        }
    }
}

impl Prepared {
    /// A statement without parameters and plan.
    pub(super) fn plain(command: Command, sql: &str) -> Self {
        Self { command, sql: sql.to_string(), parameters: Vec::new(), plan: None, schema: None }
    }

    /// The engine's statement, if it is one.
    pub(super) fn statement(&self) -> Option<&Statement> {
        match &self.command {
            Command::Engine(statement)
            | Command::Copy { query: statement, .. }
            | Command::Declare { query: statement, .. } => Some(statement),
            Command::Empty | Command::Utility(_) => None,
        }
    }
}

/// The types that a client knows; the OID 0 and that of `unknown` are for the server to find out.
///
/// # Errors
/// There is no such type here.
pub(super) fn known_types(oids: &[u32]) -> Result<Vec<Option<Type>>, PgError> {
    let known = |oid: &u32| match *oid {
        0 => Ok(None),
        oid => match Type::from_oid(oid) {
            Some(Type::UNKNOWN) => Ok(None),
            Some(known) if decode::arrow_type(&known).is_some() => Ok(Some(known)),
            Some(known) => {
                let message = format!("parameters of type {} are not supported", known.name());
                Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("send the value as text"))
            }
            None => Err(PgError::error(codes::UNDEFINED_OBJECT, format!("there is no type with the OID {oid}"))),
        },
    };
    oids.iter().map(known).collect()
}

/// How many parameters a statement has.
///
/// # Errors
/// A placeholder is no number.
pub(super) fn parameter_count(piece: &Piece<'_>) -> Result<usize, PgError> {
    parameters::count(&piece.tokens).map_err(|name| PgError::error("42P02", format!("there is no parameter {name}")))
}

/// What a client leaves open and the text says in words that the plan forgets: `$1::oid` and `$1::oid[]`, which the engine
/// takes for numbers.
pub(super) fn written_types(piece: &Piece<'_>, known: &mut Vec<Option<Type>>) {
    for tokens in piece.tokens.windows(3) {
        let [Token::Placeholder(name), Token::DoubleColon, Token::Word(word)] = tokens else { continue };
        let index = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
        let Some(index) = index.filter(|index| *index < parameters::MOST && word.value.eq_ignore_ascii_case("oid"))
        else {
            continue;
        };
        let array = piece.sql.contains(&format!("{name}::oid[]"));
        known.resize(known.len().max(index + 1), None);
        known[index].get_or_insert(if array { Type::OID_ARRAY } else { Type::OID });
    }
}

/// Plans a statement with `count` parameters, of which the client knows some: its plan, where it could be planned without the
/// values, its parameters, and a plan with the columns of its result. Runs on the engine's threads.
///
/// # Errors
/// It cannot be planned.
pub(super) async fn plan(
    session: &Session,
    statement: Statement,
    count: usize,
    mut known: Vec<Option<Type>>,
) -> Result<(Option<LogicalPlan>, Vec<Parameter>, LogicalPlan), DataFusionError> {
    known.resize(count.max(known.len()), None);
    let types: Vec<_> = known.iter().map(|known| known.as_ref().and_then(decode::arrow_type)).collect();
    let planned = parameters::plan(session, statement, &types).await?;
    let parameters = known.into_iter().zip(planned.wanted).map(|(known, wanted)| Parameter::new(known, wanted));
    Ok((planned.plan, parameters.collect(), planned.described))
}

/// Puts values into a statement. Runs on the engine's threads.
///
/// # Errors
/// It cannot be planned with them.
pub(super) async fn bind(
    session: &Session,
    prepared: &Prepared,
    given: Vec<ScalarValue>,
) -> Result<Option<LogicalPlan>, DataFusionError> {
    let Some(statement) = prepared.statement() else { return Ok(None) };
    parameters::bind(session, statement, prepared.plan.as_ref(), given).await.map(Some)
}

/// A statement's columns as Arrow has them.
pub(super) fn schema(plan: &LogicalPlan) -> SchemaRef {
    Arc::new(plan.schema().as_arrow().clone())
}
