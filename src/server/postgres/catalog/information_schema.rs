//! `information_schema` as PostgreSQL has it: takes a statement; puts queries over pg_catalog in the place of the views that
//! DataFusion lacks (keys and constraints, of which there are none), and of `columns`, whose types DataFusion calls by Arrow's names.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{Ident, Query, Statement, TableAlias, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

/// The views, and what they are. Without rows where no table of Debut has what they list.
const VIEWS: &[(&str, &str)] = &[
    (
        "columns",
        "SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
           a.attname AS column_name, CAST(a.attnum AS INT) AS ordinal_position, CAST(NULL AS TEXT) AS column_default,
           CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
           CASE WHEN t.typcategory = 'A' THEN 'ARRAY' ELSE format_type(a.atttypid, NULL) END AS data_type,
           CAST(NULL AS INT) AS character_maximum_length, CAST(NULL AS INT) AS character_octet_length,
           CASE t.typname WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64 WHEN 'float4' THEN 24
             WHEN 'float8' THEN 53 END AS numeric_precision,
           CASE WHEN t.typname IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2
             WHEN t.typname = 'numeric' THEN 10 END AS numeric_precision_radix,
           CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 0 END AS numeric_scale,
           CASE WHEN t.typname IN ('timestamp', 'timestamptz', 'time', 'interval') THEN 6
             WHEN t.typname = 'date' THEN 0 END AS datetime_precision,
           CAST(NULL AS TEXT) AS character_set_name, CAST(NULL AS TEXT) AS collation_name,
           current_database() AS udt_catalog, 'pg_catalog' AS udt_schema, t.typname AS udt_name,
           'NO' AS is_self_referencing, 'NO' AS is_identity, CAST(NULL AS TEXT) AS identity_generation,
           'NEVER' AS is_generated, CAST(NULL AS TEXT) AS generation_expression, 'NO' AS is_updatable
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         WHERE a.attnum > 0 AND NOT a.attisdropped",
    ),
    (
        "table_constraints",
        "SELECT '' AS constraint_catalog, '' AS constraint_schema, '' AS constraint_name, '' AS table_catalog,
           '' AS table_schema, '' AS table_name, '' AS constraint_type, '' AS is_deferrable, '' AS initially_deferred,
           '' AS enforced, '' AS nulls_distinct WHERE false",
    ),
    (
        "key_column_usage",
        "SELECT '' AS constraint_catalog, '' AS constraint_schema, '' AS constraint_name, '' AS table_catalog,
           '' AS table_schema, '' AS table_name, '' AS column_name, 0 AS ordinal_position,
           0 AS position_in_unique_constraint WHERE false",
    ),
    (
        "constraint_column_usage",
        "SELECT '' AS table_catalog, '' AS table_schema, '' AS table_name, '' AS column_name,
           '' AS constraint_catalog, '' AS constraint_schema, '' AS constraint_name WHERE false",
    ),
    (
        "referential_constraints",
        "SELECT '' AS constraint_catalog, '' AS constraint_schema, '' AS constraint_name,
           '' AS unique_constraint_catalog, '' AS unique_constraint_schema, '' AS unique_constraint_name,
           '' AS match_option, '' AS update_rule, '' AS delete_rule WHERE false",
    ),
];

static QUERIES: LazyLock<HashMap<&str, Query>> = LazyLock::new(|| {
    let query = |sql: &str| Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_query().ok();
    VIEWS.iter().filter_map(|(name, sql)| Some((*name, *query(sql)?))).collect()
});

/// Whether these are the words of one of the views: `information_schema.columns`.
pub(super) fn is_named(tokens: &[Token]) -> bool {
    let [Token::Word(schema), Token::Period, Token::Word(view)] = tokens else { return false };
    let view = view.value.to_ascii_lowercase();
    schema.value.eq_ignore_ascii_case("information_schema") && VIEWS.iter().any(|(name, _)| *name == view)
}

/// Changes a statement.
pub(super) fn rewrite(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Views);
}

struct Views;

impl VisitorMut for Views {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, .. } = factor else { return ControlFlow::Continue(()) };
        let parts: Vec<String> = name.0.iter().filter_map(|part| Some(part.as_ident()?.value.to_lowercase())).collect();
        let (Some(table), Some(schema)) = (parts.last(), parts.iter().rev().nth(1)) else {
            return ControlFlow::Continue(());
        };
        if schema == "information_schema"
            && let Some(query) = QUERIES.get(table.as_str())
        {
            let own = || TableAlias { explicit: true, name: Ident::new(table), columns: Vec::new(), at: None };
            let alias = Some(alias.take().unwrap_or_else(own));
            *factor = TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias, sample: None };
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_a_query() {
        assert_eq!(QUERIES.len(), VIEWS.len());
    }
}
