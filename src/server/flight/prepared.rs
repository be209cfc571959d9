//! Statements with parameters: takes a text with `?` or `$1`, `$2`, ..., and rows of values; gives plans.

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue, plan_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use futures::TryStreamExt;
use tonic::Status;

use super::wire;
use crate::engine::{Session, Statement};
use crate::server::nesting;
use crate::server::parameters::{self, Planned};

/// Most rows of values that are bound at once.
const ROWS: usize = 100_000;

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    statement: Statement,
    /// `None` where a parameter stands where SQL wants a literal, such as a model's name: then it is planned with the values.
    plan: Option<LogicalPlan>,
    /// The columns of its result.
    pub(super) schema: SchemaRef,
    /// A field for each parameter, `$1` first.
    pub(super) parameters: SchemaRef,
    /// The rows of values that were bound last.
    pub(super) values: Vec<Vec<ScalarValue>>,
}

impl Prepared {
    /// Plans a text that is one statement.
    ///
    /// # Errors
    /// It is none, or cannot be planned.
    pub(super) async fn new(session: &Session, sql: &str) -> Result<Self, DataFusionError> {
        let (sql, count) = numbered(sql, session.dialect()?.as_ref())?;
        let statement = single(session, &sql)?;
        let Planned { plan, wanted, described } =
            parameters::plan(session, statement.clone(), &vec![None; count]).await?;
        let field = |(index, wanted): (usize, Option<FieldRef>)| {
            let data_type = wanted.map_or(DataType::Utf8, |wanted| wanted.data_type().clone());
            Field::new(format!("${}", index + 1), data_type, true)
        };
        let parameters = Schema::new(wanted.into_iter().enumerate().map(field).collect::<Vec<_>>());
        let schema = wire::schema(described.schema().as_arrow());
        Ok(Self { statement, plan, schema, parameters: wire::schema(&parameters), values: Vec::new() })
    }

    /// The plan with a row of values.
    ///
    /// # Errors
    /// There are more or fewer values than parameters, or it cannot be planned with them.
    pub(super) async fn bind(&self, session: &Session, values: &[ScalarValue]) -> Result<LogicalPlan, DataFusionError> {
        let wanted = self.parameters.fields().len();
        if values.len() != wanted {
            return plan_err!("the statement has {wanted} parameters, and {} values were bound", values.len());
        }
        parameters::bind(session, &self.statement, self.plan.as_ref(), values.to_vec()).await
    }
}

/// A text as its one statement.
///
/// # Errors
/// It has none or several, nests too deep, or is not SQL.
pub(super) fn single(session: &Session, sql: &str) -> Result<Statement, DataFusionError> {
    let mut tokens = tokens(sql, session.dialect()?.as_ref())?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    if let Some(message) = nesting::too_deep(&tokens) {
        return plan_err!("{message}");
    }
    let mut statements = session.statements(sql)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => plan_err!("there is no statement in it"),
        (Some(_), others) => plan_err!("there are {} statements in it; send them one by one", others + 1),
    }
}

/// The text with `$1`, `$2`, ... for each `?`, and how many parameters it has.
///
/// # Errors
/// A placeholder is neither, or both kinds are there.
fn numbered(sql: &str, dialect: &dyn Dialect) -> Result<(String, usize), DataFusionError> {
    let mut tokens = tokens(sql, dialect)?;
    let mut marks = 0;
    let named = tokens.iter().any(|token| matches!(token, Token::Placeholder(name) if name != "?"));
    for token in &mut tokens {
        if let Token::Placeholder(name) = token
            && name == "?"
        {
            marks += 1;
            *name = format!("${marks}");
        }
    }
    if marks > parameters::MOST || (marks > 0 && named) {
        return plan_err!("parameters are either all ? or all $1, $2 and so on, {} at the most", parameters::MOST);
    }
    let count = match parameters::count(&tokens) {
        Ok(count) => count,
        Err(name) => return plan_err!("a parameter is written ? or $1, $2 and so on, not {name}"),
    };
    let text = if marks == 0 { sql.to_owned() } else { tokens.iter().map(ToString::to_string).collect() };
    Ok((text, count))
}

fn tokens(sql: &str, dialect: &dyn Dialect) -> Result<Vec<Token>, DataFusionError> {
    Tokenizer::new(dialect, sql).tokenize().map_err(|error| DataFusionError::SQL(Box::new(error.into()), None))
}

/// The rows of values that a client sends.
///
/// # Errors
/// They cannot be read, or are too many.
pub(super) async fn values(stream: PeekableFlightDataStream) -> Result<Vec<Vec<ScalarValue>>, Status> {
    let data = stream.into_peekable().map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(|error| Status::invalid_argument(error.to_string()))? {
        if rows.len() + batch.num_rows() > ROWS {
            return Err(Status::resource_exhausted(format!("more than {ROWS} rows of values; bind them in parts")));
        }
        for row in 0..batch.num_rows() {
            rows.push(row_of(&batch, row).map_err(|error| super::status(&error))?);
        }
    }
    Ok(rows)
}

fn row_of(batch: &RecordBatch, row: usize) -> Result<Vec<ScalarValue>, DataFusionError> {
    batch.columns().iter().map(|column| ScalarValue::try_from_array(column, row)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;

    #[test]
    fn question_marks_are_numbered_where_they_are_parameters() {
        let of = |sql| numbered(sql, &GenericDialect {}).map_err(|error| error.to_string());
        assert_eq!(of("SELECT ?, '?', \"?\" -- ?\n, ?").unwrap(), ("SELECT $1, '?', \"?\" -- ?\n, $2".to_owned(), 2));
        assert_eq!(of("SELECT $2, 'a'").unwrap(), ("SELECT $2, 'a'".to_owned(), 2));
        assert_eq!(of("SELECT 1").unwrap(), ("SELECT 1".to_owned(), 0));
        assert_eq!(of("PREPARE p AS SELECT $1").unwrap().1, 0, "they are EXECUTE's");
        assert!(of("SELECT ?, $1").unwrap_err().contains("either all ?"));
        assert!(of("SELECT $name").unwrap_err().contains("not $name"));
        assert!(of("SELECT $0").unwrap_err().contains("not $0"));
        assert!(of("SELECT 'a").is_err());
    }
}
