//! The file of SQL that says what the page shows: takes its path; gives sessions that have its views, and what columns they have.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, Result as EngineResult, plan_err};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};
use debut_udfs::config::DebutConfig;
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::text::is_text;

use super::error::{ApiError, Result};
use super::values::Id;
use crate::engine::Session;

/// The columns of `items` that it need not have, and that the page shows.
const OPTIONAL: [&str; 2] = ["price", "launched_at"];

/// The page of a server.
#[derive(Debug)]
pub(super) struct Page {
    /// Statements that make the views `items` and `interactions`, and settings.
    script: String,
    /// The recommender, by the setting `debut.model`.
    pub(super) model: String,
    pub(super) ids: Ids,
    /// Of the optional columns of `items`, which are there.
    pub(super) optional: BTreeSet<&'static str>,
    /// Whether `interactions` has `timestamp`.
    pub(super) has_times: bool,
}

impl Page {
    /// Reads a file, and runs it in a session to see that it makes what the page needs.
    ///
    /// # Errors
    /// It cannot be read, it does anything but make views, external tables and settings, or a column is missing.
    pub(super) async fn open(path: &Path, session: &Session) -> EngineResult<Self> {
        let script = std::fs::read_to_string(path).map_err(DataFusionError::IoError)?;
        run(&script, session).await?;
        let items = columns(session, "items", &["item_id", "text"]).await?;
        let interactions = columns(session, "interactions", &["user_id", "item_id"]).await?;
        let text = items.field_with_name("text")?;
        if !is_text(text.data_type()) {
            return plan_err!("the column text of items is {}: it has to be VARCHAR", text.data_type());
        }
        let ids = Ids {
            user: id_type(&interactions, "interactions", "user_id")?,
            item: id_type(&items, "items", "item_id")?,
        };
        let bought = id_type(&interactions, "interactions", "item_id")?;
        if bought != ids.item {
            return plan_err!("item_id is {} in items and {bought} in interactions: cast one of them", ids.item);
        }
        Ok(Self {
            model: DebutConfig::of(&session.settings()).model,
            ids,
            optional: OPTIONAL.into_iter().filter(|name| items.field_with_name(name).is_ok()).collect(),
            has_times: interactions.field_with_name("timestamp").is_ok(),
            script,
        })
    }

    /// Makes the views in the session of a request. Its model is the server's again, which embeds what people search for: a
    /// recommender's encoder knows what is bought together.
    ///
    /// # Errors
    /// What they read is not there any more.
    pub(super) async fn prepare(&self, session: &Session) -> EngineResult<()> {
        run(&self.script, session).await?;
        for reset in session.statements("RESET debut.model")? {
            session.run(reset).await?.collect().await?;
        }
        Ok(())
    }

    /// A user's id as the shop has it.
    ///
    /// # Errors
    /// It is no integer, and the shop's are.
    pub(super) fn user(&self, text: &str) -> Result<Id> {
        typed("user_id", self.ids.user, text)
    }

    /// An item's id as the shop has it.
    ///
    /// # Errors
    /// It is no integer, and the shop's are.
    pub(super) fn item(&self, field: &str, text: &str) -> Result<Id> {
        typed(field, self.ids.item, text)
    }
}

async fn run(script: &str, session: &Session) -> EngineResult<()> {
    for statement in session.statements(script)? {
        let line = statement.line;
        let plan = session.plan(statement).await?;
        let allowed = matches!(
            plan,
            LogicalPlan::Ddl(DdlStatement::CreateView(_) | DdlStatement::CreateExternalTable(_))
                | LogicalPlan::Statement(Statement::SetVariable(_))
        );
        if !allowed {
            return plan_err!(
                "line {line}: only CREATE VIEW, CREATE EXTERNAL TABLE and SET stand in the file of a page, which every request runs"
            );
        }
        session.execute(plan).await?.collect().await?;
    }
    Ok(())
}

async fn columns(session: &Session, view: &str, needed: &[&str]) -> EngineResult<Schema> {
    let Ok(frame) = session.context().table(view).await else {
        return plan_err!(
            "there is no view {view}: make it with CREATE VIEW {view} AS SELECT {} FROM ...",
            needed.join(", ")
        );
    };
    let schema = frame.schema().as_arrow().clone();
    match needed.iter().find(|column| schema.field_with_name(column).is_err()) {
        Some(missing) => plan_err!("the view {view} has no column {missing}: name one so with AS"),
        None => Ok(schema),
    }
}

fn id_type(schema: &Schema, view: &str, column: &str) -> EngineResult<IdType> {
    let found: &DataType = schema.field_with_name(column)?.data_type();
    match IdType::of(found) {
        Some(id_type) => Ok(id_type),
        None => plan_err!("the column {column} of {view} is {found}: cast it to BIGINT or VARCHAR"),
    }
}

fn typed(field: &str, id_type: IdType, text: &str) -> Result<Id> {
    match id_type {
        IdType::Text => Ok(Id::Text(text.to_owned())),
        IdType::Integer => match text.trim().parse() {
            Ok(integer) => Ok(Id::Integer(integer)),
            Err(_) => Err(ApiError::field(field, format!("'{text}' is no id: they are integers"))),
        },
    }
}
