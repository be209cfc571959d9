//! What tools ask before they show anything: psql's backslash commands, SQLAlchemy's, JDBC's and Metabase's first statements.

use crate::*;

async fn shop() -> (Server, Client) {
    let server = Server::start(&[]);
    let client = server.connect().await;
    std::fs::write(server.path("data/products.csv"), "id,title,price\n1,a,2.5\n").unwrap();
    let table =
        "CREATE EXTERNAL TABLE products STORED AS CSV LOCATION 'products.csv' OPTIONS ('format.has_header' 'true')";
    client.simple_query(table).await.unwrap();
    (server, client)
}

#[tokio::test]
async fn a_session_knows_who_and_where_it_is() {
    let (_server, client) = shop().await;
    for (sql, expected) in [
        ("SELECT current_user", "ada"),
        ("SELECT session_user", "ada"),
        ("SELECT current_schema()", "public"),
        ("SELECT current_database()", "datafusion"),
        ("SHOW transaction isolation level", "read committed"),
        ("SHOW standard_conforming_strings", "on"),
        ("SHOW server_version_num", "160006"),
        ("SELECT pg_is_in_recovery()", "f"),
        ("SELECT current_setting('jit'), set_config('jit', 'on', false), current_setting('none', true)", "off|on|~"),
        ("SHOW jit", "on"),
        ("SELECT to_regtype('float4'), to_regtype('hstore')", "700|~"),
    ] {
        assert_eq!(rows(&client, sql).await, [expected], "{sql}");
    }
    let version = rows(&client, "select pg_catalog.version()").await.remove(0);
    assert!(version.starts_with("PostgreSQL 16.6 (Debut "), "{version}");
    let process: i32 = rows(&client, "SELECT pg_backend_pid()").await[0].parse().unwrap();
    assert!(process > 0);
}

#[tokio::test]
async fn tables_and_their_columns_are_found() {
    let (_server, client) = shop().await;
    // psql's \d and \dt.
    let tables = "SELECT n.nspname as \"Schema\", c.relname as \"Name\",
          CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as \"Type\",
          pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"
        FROM pg_catalog.pg_class c
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
        WHERE c.relkind IN ('r','p','v','m','S','f','')
              AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname = 'public'
          AND pg_catalog.pg_table_is_visible(c.oid)
        ORDER BY 1,2;";
    assert!(rows(&client, tables).await[0].starts_with("public|products|table|"));
    // What SQLAlchemy and others build a table of.
    let columns = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        WHERE c.relname = 'products' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    assert_eq!(rows(&client, columns).await, ["id|bigint|f", "title|text|f", "price|double precision|f"]);
    let information =
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'products' ORDER BY ordinal_position";
    assert_eq!(rows(&client, information).await, ["id", "title", "price"]);
}

#[tokio::test]
async fn schemas_databases_and_types_are_found() {
    let (_server, client) = shop().await;
    let schemas = "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1";
    assert_eq!(rows(&client, schemas).await, ["debut", "public"]);
    assert_eq!(
        rows(&client, "SELECT datname FROM pg_database WHERE datname = current_database()").await,
        ["datafusion"]
    );
    assert_eq!(rows(&client, "SELECT typname FROM pg_type WHERE oid = 1021").await, ["_float4"]);
    // tokio-postgres asks for a type that it does not know.
    let row = client.query_one("SELECT typname FROM pg_catalog.pg_type WHERE oid = $1", &[&25_u32]).await;
    assert_eq!(row.unwrap().get::<_, String>(0), "text");
}

#[tokio::test]
async fn functions_are_listed() {
    let (_server, client) = shop().await;
    // psql's \\df.
    let sql = "SELECT n.nspname, p.proname, pg_catalog.pg_get_function_result(p.oid),
          pg_catalog.pg_get_function_arguments(p.oid), CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' ELSE 'func' END
        FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname OPERATOR(pg_catalog.~) '^(embed|auc)$' COLLATE pg_catalog.default
          AND pg_catalog.pg_function_is_visible(p.oid) AND n.nspname <> 'pg_catalog' ORDER BY 1, 2, 4";
    assert_eq!(
        rows(&client, sql).await,
        ["public|auc|~|label, p|agg", "public|embed|~|input [, model [, prompt]]|func"]
    );
}

#[tokio::test]
async fn what_drivers_ask_and_datafusion_does_not_plan_is_answered() {
    let (_server, client) = shop().await;
    // SQLAlchemy: schemas, columns with their defaults, keys.
    let schemas =
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE (nspname NOT LIKE 'pg/_' || '%' ESCAPE '/') ORDER BY 1";
    assert_eq!(rows(&client, schemas).await, ["debut", "public"]);
    let columns = "SELECT a.attname, CASE WHEN a.atthasdef THEN (SELECT pg_get_expr(d.adbin, d.adrelid)
          FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) ELSE NULL END
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        WHERE c.relname = 'products' AND a.attnum > 0 ORDER BY a.attnum";
    assert_eq!(rows(&client, columns).await, ["id|~", "title|~", "price|~"]);
    let keys = "SELECT con.conname, unnest(con.conkey) AS attnum, generate_subscripts(con.conkey, 1) AS ord
        FROM pg_catalog.pg_constraint con JOIN pg_catalog.pg_class c ON c.oid = con.conrelid WHERE c.relname = 'products'";
    assert_eq!(rows(&client, keys).await, [""; 0]);
    // JDBC: primary keys.
    let keys = "SELECT r.n FROM (SELECT (information_schema._pg_expandarray(i.indkey)).n AS n, a.attnum AS a_attnum,
          information_schema._pg_expandarray(i.indkey) AS keys
        FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
          JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
        WHERE ct.relname = 'products' AND i.indisprimary) r WHERE r.a_attnum = (r.keys).x";
    assert_eq!(rows(&client, keys).await, [""; 0]);
    assert_eq!(rows(&client, "SELECT reloptions FROM pg_catalog.pg_class WHERE relname = 'products'").await, ["~"]);
    // asyncpg: the types of an array, by their numbers.
    let types = "SELECT t.oid FROM pg_catalog.pg_type t WHERE t.oid = any($1::oid[])";
    let prepared = client.prepare(types).await.unwrap();
    assert_eq!(prepared.params(), [tokio_postgres::types::Type::OID_ARRAY]);
    let found = client.query(&prepared, &[&vec![1021_u32, 700]]).await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn a_statement_about_users_tables_means_what_it_says() {
    let (_server, client) = shop().await;
    // The rules that make the catalog's statements plannable would give NULL here.
    let sql = "SELECT (SELECT max(p.price) FROM products p WHERE p.id = o.id) FROM products o";
    assert_eq!(rows(&client, sql).await, ["2.5"]);
}
