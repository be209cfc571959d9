//! `pg_catalog`, as clients ask for it: takes a session; adds the tables and functions of PostgreSQL's catalog to it, and
//! rewrites the statements that ask for them.
//!
//! The tables, and the rules that make psql's and drivers' statements ones that DataFusion plans, are datafusion-pg-catalog's.
//! Its rules change what a statement means (a correlated subquery becomes NULL), so only statements that name the catalog are
//! rewritten; its own set-up keeps a session alive for ever, by a circle through the list of catalogs.
//! - `functions`: what PostgreSQL's catalog has as functions; `format`: texts of names and sizes; `settings`: SHOW and SET as
//!   functions; `procedures`: the engine's functions as PostgreSQL lists them
//! - `tables`: columns that their tables lack; `roles`: who is connected; `information_schema`: views that DataFusion lacks
//! - `unplannable`: what their rules leave; `intervals`: their products, which tools group by

mod format;
mod functions;
mod information_schema;
mod intervals;
mod procedures;
mod roles;
mod settings;
mod tables;
mod unplannable;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, Weak};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::CatalogProviderList;
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use super::script::Piece;
use super::settings::SharedSettings;
use roles::Connected;

use crate::engine::statements::Kind;
use crate::engine::{Session, Statement};

/// The name of the schema.
const SCHEMA: &str = "pg_catalog";

/// What PostgreSQL knows of itself, read once for all sessions.
static STATIC: LazyLock<std::result::Result<Arc<PgCatalogStaticTables>, String>> =
    LazyLock::new(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));

static PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

/// Functions and words without parentheses that only PostgreSQL has.
const WORDS: &[&str] = &[
    "current_catalog",
    "current_role",
    "current_schema",
    "current_setting",
    "current_user",
    "regclass",
    "regnamespace",
    "regproc",
    "regtype",
    "session_user",
];

/// Adds the catalog to a session of `user`, whose connection has the number `process` and these settings.
///
/// # Errors
/// The catalog that ships with Debut cannot be read.
pub(super) fn install(session: &Session, user: &str, process: i32, settings: SharedSettings) -> Result<()> {
    let context = session.context();
    let statics = STATIC.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;
    let catalogs = Catalogs(Arc::downgrade(context.state().catalog_list()));
    let schema = PgCatalogSchemaProvider::try_new(catalogs, Arc::clone(statics), Connected::new(user))?;
    let procedures = procedures::all(&context.state());
    for function in procedures::functions(procedures).into_iter().chain(format::functions()) {
        context.register_udf(function);
    }
    let name = context.state().config_options().catalog.default_catalog.clone();
    let catalog = context.catalog(&name).ok_or_else(|| plan_datafusion_err!("there is no catalog '{name}'"))?;
    catalog.register_schema(SCHEMA, Arc::new(tables::Completed::new(schema, procedures, settings.clone())))?;
    for function in functions::of(&name, user, process, &statics.pg_type) {
        context.register_udf(function);
    }
    for function in settings::functions(settings) {
        context.register_udf(function);
    }
    // Drivers walk arrays by their bounds, which are PostgreSQL's int4.
    CoerceIntArgsToBigInt::widen(context);
    context.register_udtf("pg_get_keywords", Arc::clone(&statics.pg_get_keywords) as _);
    let state = context.state_ref();
    let existing = state.read().clone();
    *state.write() =
        SessionStateBuilder::new_from_existing(existing).with_type_planner(Arc::new(PgOidTypePlanner)).build();
    state.write().register_expr_planner(Arc::new(intervals::Products::new()))?;
    Ok(())
}

/// The statement as DataFusion plans it, if it names PostgreSQL's catalog.
///
/// # Errors
/// It is not SQL.
pub(super) fn rewrite(piece: &Piece<'_>) -> Result<Option<Statement>> {
    if !piece.tokens.iter().any(names_catalog) && !piece.tokens.windows(3).any(information_schema::is_named) {
        return Ok(None);
    }
    let mut statements = PARSER.parse(&with_names_of_functions(piece))?;
    let Some(mut statement) = statements.pop().filter(|_| statements.is_empty()) else { return Ok(None) };
    information_schema::rewrite(&mut statement);
    unplannable::rewrite(&mut statement);
    let statement = DataFusionStatement::Statement(Box::new(statement));
    Ok(Some(Statement { kind: Kind::Sql(Box::new(statement)), line: 1 }))
}

/// The text with `'array_in'` for `'pg_catalog.array_in'::regproc`: the columns that say what function a type is read by hold
/// its name, not its OID.
fn with_names_of_functions<'a>(piece: &Piece<'a>) -> Cow<'a, str> {
    let mut sql = Cow::Borrowed(piece.sql);
    for (index, tokens) in piece.tokens.windows(3).enumerate().rev() {
        if let [Token::SingleQuotedString(name), Token::DoubleColon, Token::Word(word)] = tokens
            && word.value.eq_ignore_ascii_case("regproc")
        {
            let (start, end) = (piece.starts[index], piece.starts[index + 2] + word.value.len());
            let name = name.rsplit('.').next().unwrap_or(name).replace('\'', "''");
            sql.to_mut().replace_range(start..end, &format!("'{name}'"));
        }
    }
    sql
}

fn names_catalog(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    let name = word.value.to_ascii_lowercase();
    let plain = word.quote_style.is_none() && (WORDS.contains(&name.as_str()) || name.starts_with("pg_"));
    plain || name == SCHEMA || PG_CATALOG_TABLES.contains(&name.as_str())
}

/// The catalogs of a session, as long as there is one.
#[derive(Debug, Clone)]
struct Catalogs(Weak<dyn CatalogProviderList>);

impl Catalogs {
    fn list(&self) -> Result<Arc<dyn CatalogProviderList>> {
        self.0.upgrade().ok_or_else(|| plan_datafusion_err!("the session has ended"))
    }
}

#[async_trait]
impl CatalogInfo for Catalogs {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        CatalogInfo::catalog_names(&self.list()?).await
    }

    async fn schema_names(&self, catalog: &str) -> Result<Option<Vec<String>>> {
        self.list()?.schema_names(catalog).await
    }

    async fn table_names(&self, catalog: &str, schema: &str) -> Result<Option<Vec<String>>> {
        self.list()?.table_names(catalog, schema).await
    }

    async fn table_schema(&self, catalog: &str, schema: &str, table: &str) -> Result<Option<SchemaRef>> {
        self.list()?.table_schema(catalog, schema, table).await
    }

    async fn table_type(&self, catalog: &str, schema: &str, table: &str) -> Result<Option<TableType>> {
        self.list()?.table_type(catalog, schema, table).await
    }
}
