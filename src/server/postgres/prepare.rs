//! A statement that a client prepares: takes its text and the types that the client knows; gives its plan, the types of its
//! parameters, and the columns of its result.
//!
//! A statement is planned with its `$1` in place. What cannot be planned like that, because the engine wants to see the value
//! (the name of a model, the rows of a table function), is planned when the values come, as if they were written there.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::tokenizer::Token;
use postgres_types::Type;

use super::error::{PgError, codes};
use super::parameters;
use super::script::Piece;
use super::types::{self, VectorOutput};
use super::utility::Utility;
use crate::engine::{Session, Statement};
use crate::server::literals;

/// Most parameters of a statement.
const MOST_PARAMETERS: usize = 65_535;

/// What a statement is.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// Nothing at all.
    Empty,
    /// About the session.
    Utility(Utility),
    /// The engine's.
    Engine(Statement),
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

impl Prepared {
    /// A statement without parameters and plan.
    pub(super) fn plain(command: Command, sql: &str) -> Self {
        Self { command, sql: sql.to_string(), parameters: Vec::new(), plan: None, schema: None }
    }

    /// The engine's statement, if it is one.
    pub(super) fn statement(&self) -> Option<&Statement> {
        match &self.command {
            Command::Engine(statement) | Command::Declare { query: statement, .. } => Some(statement),
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
            Some(known) if parameters::arrow_type(&known).is_some() => Ok(Some(known)),
            Some(known) => {
                let message = format!("parameters of type {} are not supported", known.name());
                Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("send the value as text"))
            }
            None => Err(PgError::error(codes::UNDEFINED_OBJECT, format!("there is no type with the OID {oid}"))),
        },
    };
    oids.iter().map(known).collect()
}

/// How many parameters a statement has: the highest `$n`.
///
/// # Errors
/// A placeholder is no number.
pub(super) fn parameter_count(piece: &Piece<'_>) -> Result<usize, PgError> {
    let mut count = 0;
    // The parameters of what PREPARE makes are EXECUTE's.
    if matches!(piece.tokens.first(), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("PREPARE")) {
        return Ok(0);
    }
    for token in &piece.tokens {
        let Token::Placeholder(name) = token else { continue };
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        match number {
            Some(number) if (1..=MOST_PARAMETERS).contains(&number) => count = count.max(number),
            _ => return Err(PgError::error("42P02", format!("there is no parameter {name}"))),
        }
    }
    Ok(count)
}

/// What a client leaves open and the text says in words that the plan forgets: `$1::oid` and `$1::oid[]`, which the engine
/// takes for numbers.
pub(super) fn written_types(piece: &Piece<'_>, known: &mut Vec<Option<Type>>) {
    for tokens in piece.tokens.windows(3) {
        let [Token::Placeholder(name), Token::DoubleColon, Token::Word(word)] = tokens else { continue };
        let index = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
        let Some(index) = index.filter(|index| *index < MOST_PARAMETERS && word.value.eq_ignore_ascii_case("oid"))
        else {
            continue;
        };
        let array = piece.sql.contains(&format!("{name}::oid[]"));
        known.resize(known.len().max(index + 1), None);
        known[index].get_or_insert(if array { Type::OID_ARRAY } else { Type::OID });
    }
}

/// Plans a statement with `count` parameters, of which the client knows some. Runs on the engine's threads.
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
    match session.plan(statement.clone()).await {
        Ok(plan) => {
            let parameters = parameters_of(&plan, known)?;
            let nulls = values(parameters.iter().map(null).collect::<Result<_, _>>()?);
            let described = if count == 0 { plan.clone() } else { plan.clone().replace_params_with_values(&nulls)? };
            Ok((Some(plan), parameters, described))
        }
        Err(error) if count == 0 => Err(error),
        Err(error) => {
            let parameters: Vec<_> = known
                .into_iter()
                .map(|known| Parameter { pg_type: known.unwrap_or(Type::TEXT), target: None })
                .collect();
            let nulls = parameters.iter().map(null).collect::<Result<Vec<_>, _>>()?;
            // What is wrong with or without the values is told as the client wrote it.
            let Some(written) = literals::write(statement, &nulls)? else { return Err(error) };
            match session.plan(written).await {
                Ok(described) => Ok((None, parameters, described)),
                Err(_) => Err(error),
            }
        }
    }
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
    match (&prepared.plan, prepared.statement()) {
        (Some(plan), _) if given.is_empty() => Ok(Some(plan.clone())),
        (Some(plan), _) => plan.clone().replace_params_with_values(&values(given)).map(Some),
        (None, Some(statement)) => match literals::write(statement.clone(), &given)? {
            Some(written) => session.plan(written).await.map(Some),
            None => Err(DataFusionError::NotImplemented("a parameter of this type in this place".to_string())),
        },
        (None, None) => Ok(None),
    }
}

fn values(values: Vec<ScalarValue>) -> ParamValues {
    ParamValues::List(values.into_iter().map(Into::into).collect())
}

fn null(parameter: &Parameter) -> Result<ScalarValue, DataFusionError> {
    let own = || parameters::arrow_type(&parameter.pg_type).unwrap_or(DataType::Utf8);
    ScalarValue::try_from(&parameter.target.clone().unwrap_or_else(own))
}

/// The types of the parameters of a plan: the client's, else the ones that DataFusion finds, else text.
fn parameters_of(plan: &LogicalPlan, known: Vec<Option<Type>>) -> Result<Vec<Parameter>, DataFusionError> {
    let mut found: HashMap<String, FieldRef> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        // A limit has no column that it is compared with.
        let limits = matches!(node, LogicalPlan::Limit(_));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (placeholder, wanted) = match expr {
                    Expr::Cast(to) => match to.expr.as_ref() {
                        Expr::Placeholder(placeholder) => (placeholder, Some(Arc::clone(&to.field))),
                        _ => return Ok(TreeNodeRecursion::Continue),
                    },
                    Expr::Placeholder(placeholder) => {
                        (placeholder, placeholder.field.clone().or_else(|| limits.then(|| unnamed(DataType::Int64))))
                    }
                    Expr::ScalarFunction(call) => {
                        beside_a_vector(node, call, &mut found);
                        return Ok(TreeNodeRecursion::Continue);
                    }
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                // Where it stands in several places, the first that says something.
                if let Some(wanted) = wanted {
                    found.entry(placeholder.id.clone()).or_insert(wanted);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let parameter = |(index, known): (usize, Option<Type>)| {
        let name = format!("${}", index + 1);
        let target = found.get(&name).cloned();
        match (known, target) {
            // The statement converts where it wants something else.
            (Some(pg_type), _) => Parameter { pg_type, target: None },
            (None, Some(target)) => {
                let pg_type = types::of_field(&target, VectorOutput::Array).ok();
                let pg_type = pg_type.filter(|found| parameters::arrow_type(found).is_some()).unwrap_or(Type::TEXT);
                Parameter { pg_type, target: Some(target.data_type().clone()) }
            }
            (None, None) => Parameter { pg_type: Type::TEXT, target: None },
        }
    };
    Ok(known.into_iter().enumerate().map(parameter).collect())
}

fn unnamed(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}

/// Notes that a parameter which a function takes beside a vector is a vector, too: `cosine_distance(vector, $1)`.
fn beside_a_vector(node: &LogicalPlan, call: &ScalarFunction, found: &mut HashMap<String, FieldRef>) {
    let of_input = |expr: &Expr| {
        let types = node.inputs().into_iter().map(|input| expr.get_type(input.schema()));
        types.flatten().find(types::is_vector)
    };
    let Some(vector) = call.args.iter().find_map(of_input) else { return };
    for argument in &call.args {
        if let Expr::Placeholder(Placeholder { id, field: None }) = argument {
            found.entry(id.clone()).or_insert_with(|| unnamed(vector.clone()));
        }
    }
}

/// A statement's columns as Arrow has them.
pub(super) fn schema(plan: &LogicalPlan) -> SchemaRef {
    Arc::new(plan.schema().as_arrow().clone())
}
