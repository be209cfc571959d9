//! Parameters of statements: takes a statement with `$1`, `$2` and so on; gives its plan and what it wants of each parameter,
//! and, once there are values, the plan with them.
//!
//! A statement is planned with its `$1` in place. What cannot be planned like that, because the engine wants to see the value
//! (the name of a model, the rows of a table function), is planned when the values come, as if they were written there.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::literals;
use crate::engine::{Session, Statement};

/// Most parameters of a statement.
pub(super) const MOST: usize = 65_535;

/// What is known of a statement before its values are.
#[derive(Debug)]
pub(super) struct Planned {
    /// Its plan, where it could be planned without the values.
    pub(super) plan: Option<LogicalPlan>,
    /// What it wants of each parameter, where that is known, and the client does not know better.
    pub(super) wanted: Vec<Option<FieldRef>>,
    /// Its plan with NULLs for the values, which has the columns of its result.
    pub(super) described: LogicalPlan,
}

/// How many parameters a statement has: the highest `$n`.
///
/// # Errors
/// A placeholder is no such number: its name is given.
pub(super) fn count(tokens: &[Token]) -> Result<usize, &str> {
    let mut words = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_)));
    // The parameters of what PREPARE makes are EXECUTE's.
    if matches!(words.next(), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("PREPARE")) {
        return Ok(0);
    }
    let mut count = 0;
    for token in tokens {
        let Token::Placeholder(name) = token else { continue };
        match name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()) {
            Some(number) if (1..=MOST).contains(&number) => count = count.max(number),
            _ => return Err(name),
        }
    }
    Ok(count)
}

/// Plans a statement with so many parameters as `known` has places; it holds the types that the client knows. Runs on the
/// engine's threads.
///
/// # Errors
/// It cannot be planned.
pub(super) async fn plan(session: &Session, statement: Statement, known: &[Option<DataType>]) -> Result<Planned> {
    match session.plan(statement.clone()).await {
        Ok(plan) => {
            let wanted = by_place(known, wanted(&plan)?);
            let described = match known {
                [] => plan.clone(),
                known => plan.clone().replace_params_with_values(&list(nulls(known, &wanted)?))?,
            };
            Ok(Planned { plan: Some(plan), wanted, described })
        }
        Err(error) if known.is_empty() => Err(error),
        Err(error) => {
            let wanted = by_place(known, casts(session, &statement).await?);
            // What is wrong with or without the values is told as the client wrote it.
            let Some(written) = literals::write(statement, &nulls(known, &wanted)?)? else { return Err(error) };
            match session.plan(written).await {
                Ok(described) => Ok(Planned { plan: None, wanted, described }),
                Err(_) => Err(error),
            }
        }
    }
}

/// Puts values into a statement, of which `plan` is what [`plan()`] gave. Runs on the engine's threads.
///
/// # Errors
/// It cannot be planned with them.
pub(super) async fn bind(
    session: &Session,
    statement: &Statement,
    plan: Option<&LogicalPlan>,
    values: Vec<ScalarValue>,
) -> Result<LogicalPlan> {
    match plan {
        Some(plan) if values.is_empty() => Ok(plan.clone()),
        Some(plan) => plan.clone().replace_params_with_values(&list(values)),
        None => match literals::write(statement.clone(), &values)? {
            Some(written) => session.plan(written).await,
            None => not_impl_err!("a parameter of this type where SQL wants a literal, such as the name of a model"),
        },
    }
}

/// Whether values are vectors.
pub(super) fn is_vector(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(item, _) if item.data_type() == &DataType::Float32)
}

/// What is wanted of each parameter of which the client does not know the type: where it does, the statement converts.
fn by_place(known: &[Option<DataType>], mut wanted: HashMap<String, FieldRef>) -> Vec<Option<FieldRef>> {
    let of = |(index, known): (usize, &Option<DataType>)| match known {
        Some(_) => None,
        None => wanted.remove(&format!("${}", index + 1)),
    };
    known.iter().enumerate().map(of).collect()
}

fn list(values: Vec<ScalarValue>) -> ParamValues {
    ParamValues::List(values.into_iter().map(Into::into).collect())
}

/// NULLs of the types that the client knows, else of those that the statement wants, else texts.
fn nulls(known: &[Option<DataType>], wanted: &[Option<FieldRef>]) -> Result<Vec<ScalarValue>> {
    let of = |(known, wanted): (&Option<DataType>, &Option<FieldRef>)| {
        let wanted = wanted.as_ref().map(|field| field.data_type());
        ScalarValue::try_from(known.as_ref().or(wanted).unwrap_or(&DataType::Utf8))
    };
    known.iter().zip(wanted).map(of).collect()
}

/// What a plan wants of its parameters, by their names: where one stands in several places, what the first one says.
fn wanted(plan: &LogicalPlan) -> Result<HashMap<String, FieldRef>> {
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
                if let Some(wanted) = wanted {
                    found.entry(placeholder.id.clone()).or_insert(wanted);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// The types that a statement without a plan converts its parameters to in words: `CAST($1 AS BIGINT)`.
async fn casts(session: &Session, statement: &Statement) -> Result<HashMap<String, FieldRef>> {
    let mut types = HashMap::new();
    for (placeholder, data_type) in literals::casts(statement) {
        let null = session.statements(&format!("SELECT CAST(NULL AS {data_type})"))?.pop();
        let Some(null) = null else { continue };
        // A type that the engine does not know is told with the statement as the client wrote it.
        let Ok(plan) = session.plan(null).await else { continue };
        types.entry(placeholder).or_insert_with(|| Arc::clone(plan.schema().field(0)));
    }
    Ok(types)
}

fn unnamed(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}

/// Notes that a parameter which a function takes beside a vector is a vector, too: `cosine_distance(vector, $1)`. Not so the
/// query of `score($1, vector)`, which is a text.
fn beside_a_vector(node: &LogicalPlan, call: &ScalarFunction, found: &mut HashMap<String, FieldRef>) {
    if call.name() == "score" {
        return;
    }
    let of_input = |expr: &Expr| {
        let types = node.inputs().into_iter().map(|input| expr.get_type(input.schema()));
        types.flatten().find(is_vector)
    };
    let Some(vector) = call.args.iter().find_map(of_input) else { return };
    for argument in &call.args {
        if let Expr::Placeholder(Placeholder { id, field: None }) = argument {
            found.entry(id.clone()).or_insert_with(|| unnamed(vector.clone()));
        }
    }
}
