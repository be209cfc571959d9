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
    let sql = "SELECT (SELECT max(p.price) FROM products p WHERE p.id = o.id) AS columns FROM products o";
    assert_eq!(rows(&client, sql).await, ["2.5"]);
}

#[tokio::test]
async fn psql_describes_tables_functions_and_roles_at_length() {
    let (_server, client) = shop().await;
    // \d+ of a table.
    let table = "SELECT c.relkind, pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from
          pg_catalog.unnest(tc.reloptions) x), ', '), c.reltablespace,
          CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, am.amname
        FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid)
          LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.relname = 'products'";
    assert!(rows(&client, table).await[0].starts_with("r|~|"));
    // Its columns, some of which are nothing and have no name.
    let columns =
        "SELECT a.attname, (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull,
          (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
          WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation,
          CASE WHEN a.attstattarget=-1 THEN NULL ELSE a.attstattarget END AS attstattarget,
          pg_catalog.col_description(a.attrelid, a.attnum)
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        WHERE c.relname = 'products' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    assert!(rows(&client, columns).await[0].starts_with("id|~|f|~|"));
    // \dt+: the size of a file is not known, and that of a number is written as PostgreSQL does.
    let sizes =
        "SELECT c.relname, pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(c.oid)), pg_size_pretty(123456789),
          pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c WHERE c.relname = 'products'";
    assert_eq!(rows(&client, sizes).await, ["products|~|118 MB|~"]);
    // \df+.
    let function = "SELECT p.proname, pg_catalog.array_to_string(p.proacl, E'\\n'),
          COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc), pg_catalog.obj_description(p.oid, 'pg_proc')
        FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.proname = 'embed'";
    let described = rows(&client, function).await;
    assert!(described[0].starts_with("embed|~|~|") && described[0].len() > "embed|~|~|".len() + 10, "{described:?}");
    // \du: who is connected, a member of no role.
    let roles = "SELECT r.rolname, r.rolsuper, r.rolcanlogin, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m
          JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) as memberof
        FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1";
    assert_eq!(rows(&client, roles).await, ["ada|f|t|~"]);
    // \dn+.
    let schemas = "SELECT n.nspname, pg_catalog.array_to_string(n.nspacl, E'\\n'),
          pg_catalog.obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'";
    assert_eq!(rows(&client, schemas).await, ["public|~|~"]);
    // \dT: a correlated sub-query that need not be an aggregate in PostgreSQL.
    let types = "SELECT n.nspname, pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t
          LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))
          AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = t.typelem AND el.typarray = t.oid)
          AND t.typname = 'float4' AND pg_catalog.pg_type_is_visible(t.oid) ORDER BY 1, 2";
    assert_eq!(rows(&client, types).await, ["pg_catalog|real"]);
}

#[tokio::test]
async fn an_array_of_a_query_has_its_rows_in_their_order() {
    let (_server, client) = shop().await;
    let sql = "SELECT array_to_string(ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY 1), ',') FROM pg_catalog.pg_class c WHERE c.relname = 'products'";
    assert_eq!(rows(&client, sql).await, ["id,price,title"]);
    let sql = "SELECT ARRAY(SELECT n.nspname FROM pg_namespace n WHERE n.nspname IN ('debut', 'public') ORDER BY n.nspname DESC)";
    assert_eq!(rows(&client, sql).await, ["{public,debut}"]);
}

#[tokio::test]
async fn jdbc_reads_arrays_keys_types_and_procedures() {
    let (_server, client) = shop().await;
    // Before it reads an array, such as a vector: the type by its name, in the order of the search path.
    let array = "SELECT typinput = 'pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid
        FROM pg_catalog.pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join (
            select s.r, (current_schemas(false))[s.r] as nspname
            from generate_series(1, array_upper(current_schemas(false), 1)) as s(r)) as r using (nspname)) as sp
          ON sp.nspoid = typnamespace WHERE pg_type.oid = 1021 ORDER BY sp.r, pg_type.oid DESC";
    let found = rows(&client, array).await;
    assert!(found.len() == 1 && found[0].ends_with("|b|_float4|1021"), "{found:?}");
    let keys = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'";
    assert_eq!(rows(&client, keys).await, ["32"]);
    // getTypeInfo.
    let types =
        "SELECT t.typname, t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON (t.typnamespace = n.oid)
        WHERE n.nspname != 'pg_toast' AND (t.typrelid = 0 OR
          (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid)) AND t.typname = '_float4'";
    assert_eq!(rows(&client, types).await, ["_float4|1021"]);
    // getTypeInfo and getVersionColumns: which function a type is read by.
    let read_by = "SELECT typname, typinput = 'pg_catalog.array_in'::regproc, typinput = 'int8in'::regproc FROM pg_type
        WHERE oid IN (20, 1021) ORDER BY oid";
    assert_eq!(rows(&client, read_by).await, ["int8|f|t", "_float4|t|f"]);
    // getProcedures: several columns that are nothing, without names.
    let procedures = "SELECT NULL AS cat, n.nspname, p.proname, NULL, NULL, NULL, d.description, 2 AS kind
        FROM pg_catalog.pg_namespace n, pg_catalog.pg_proc p
          LEFT JOIN pg_catalog.pg_description d ON (p.oid = d.objoid)
        WHERE p.pronamespace = n.oid AND p.prokind = 'p' AND n.nspname LIKE 'public'";
    assert_eq!(rows(&client, procedures).await, [""; 0]);
    // getIndexInfo: parts of arrays that no table has.
    let indexes = "SELECT i.indisunique, i.indoption[0] & 1 FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_class c ON c.oid = i.indrelid WHERE c.relname = 'products'";
    assert_eq!(rows(&client, indexes).await, [""; 0]);
    let secondary = "SELECT ix.indexrelid FROM pg_index ix JOIN pg_class t ON t.oid = ix.indrelid
        WHERE t.relname = 'products' AND ix.indisprimary = 'f'";
    assert_eq!(rows(&client, secondary).await, [""; 0]);
    // SQLAlchemy 1.4 in Superset: unique constraints. Metabase: foreign keys.
    let unique = "SELECT cons.conname as name, cons.conkey as key, a.attnum FROM pg_catalog.pg_constraint cons
          join pg_attribute a on cons.conrelid = a.attrelid AND a.attnum = ANY(cons.conkey)
          join pg_class c ON c.oid = cons.conrelid WHERE c.relname = 'products' AND cons.contype = 'u'";
    assert_eq!(rows(&client, unique).await, [""; 0]);
}

#[tokio::test]
async fn metabase_grafana_and_dbt_find_the_columns() {
    let (_server, client) = shop().await;
    // Metabase: its fields, shortened.
    let fields = "SELECT \"c\".\"column_name\" AS \"name\", CASE WHEN \"c\".\"udt_schema\" IN ('public', 'pg_catalog')
          THEN FORMAT('%s', \"c\".\"udt_name\") ELSE FORMAT('\"%s\".\"%s\"', \"c\".\"udt_schema\", \"c\".\"udt_name\") END,
          \"c\".\"ordinal_position\" - 1, \"pk\".\"column_name\" IS NOT NULL,
          COL_DESCRIPTION(CAST(CAST(FORMAT('%I.%I', CAST(\"c\".\"table_schema\" AS TEXT), CAST(\"c\".\"table_name\" AS TEXT))
            AS REGCLASS) AS OID), \"c\".\"ordinal_position\"),
          ((\"column_default\" IS NULL) OR (LOWER(\"column_default\") = 'null')) AND (\"is_nullable\" = 'NO')
            AND NOT ((\"column_default\" IS NOT NULL) OR (\"is_identity\" <> 'NO'))
        FROM \"information_schema\".\"columns\" AS \"c\" LEFT JOIN (
          SELECT \"tc\".\"table_schema\", \"tc\".\"table_name\", \"kc\".\"column_name\"
          FROM \"information_schema\".\"table_constraints\" AS \"tc\"
          INNER JOIN \"information_schema\".\"key_column_usage\" AS \"kc\"
            ON (\"tc\".\"constraint_name\" = \"kc\".\"constraint_name\") AND (\"tc\".\"table_name\" = \"kc\".\"table_name\")
          WHERE \"tc\".\"constraint_type\" = 'PRIMARY KEY') AS \"pk\"
          ON (\"c\".\"table_name\" = \"pk\".\"table_name\") AND (\"c\".\"column_name\" = \"pk\".\"column_name\")
        WHERE (c.table_schema !~ '^information_schema|catalog_history|pg_') AND (\"c\".\"table_schema\" IN ('public'))
        ORDER BY 3";
    assert_eq!(rows(&client, fields).await, ["id|int8|0|f|~|f", "title|text|1|f|~|f", "price|float8|2|f|~|f"]);
    // Grafana: columns and their types, which are PostgreSQL's.
    let types = "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns
        WHERE quote_ident(table_name) = 'products' ORDER BY ordinal_position";
    assert_eq!(rows(&client, types).await, ["id|bigint", "title|text", "price|double precision"]);
    // Grafana: tables, with their schema where it is not in the search path; the path is walked by its bounds.
    let tables = "SELECT CASE WHEN quote_ident(table_schema) IN (
            SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END
            FROM generate_series(
                array_lower(string_to_array(current_setting('search_path'),','),1),
                array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i, string_to_array(current_setting('search_path'),',') s)
          THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\"
        FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', 'debut')";
    assert_eq!(rows(&client, tables).await, ["public.products"]);
    let keys = "SELECT count(*) FROM information_schema.key_column_usage";
    assert_eq!(rows(&client, keys).await, ["0"]);
    // dbt-postgres: the catalogue of `dbt docs generate`, shortened.
    let catalogue = "select sch.nspname as table_schema, tbl.relname as table_name,
          case tbl.relkind when 'v' then 'VIEW' else 'BASE TABLE' end as table_type, tbl_desc.description as table_comment,
          col.attname as column_name, col.attnum as column_index,
          pg_catalog.format_type(col.atttypid, col.atttypmod) as column_type,
          pg_get_userbyid(tbl.relowner) as table_owner
        from pg_catalog.pg_namespace sch join pg_catalog.pg_class tbl on tbl.relnamespace = sch.oid
          join pg_catalog.pg_attribute col on col.attrelid = tbl.oid
          left outer join pg_catalog.pg_description tbl_desc on (tbl_desc.objoid = tbl.oid and tbl_desc.objsubid = 0)
        where (upper(sch.nspname) = upper('public') and upper(tbl.relname) = upper('products'))
          and not pg_is_other_temp_schema(sch.oid) and tbl.relpersistence in ('p', 'u')
          and tbl.relkind in ('r', 'v', 'f', 'p', 'm') and col.attnum > 0 and not col.attisdropped
        order by sch.nspname, tbl.relname, col.attnum";
    let found = rows(&client, catalogue).await;
    assert!(found.len() == 3 && found[0].contains("|BASE TABLE|~|id|1|bigint|"), "{found:?}");
}

#[tokio::test]
async fn settings_are_listed_as_they_are() {
    let (_server, client) = shop().await;
    client.simple_query("SET work_mem = '1MB'").await.unwrap();
    let sql = "SELECT name, setting, boot_val, source FROM pg_settings WHERE name IN ('work_mem', 'jit') ORDER BY 1";
    assert_eq!(rows(&client, sql).await, ["jit|off|off|default", "work_mem|1MB|4MB|session"]);
    // The engine's, by the name that SET takes.
    assert_eq!(rows(&client, "SHOW debut.model").await, ["debut.model|all-MiniLM-L6-v2"]);
}

#[tokio::test]
async fn superset_groups_moments_by_parts_of_an_hour() {
    let (_server, client) = shop().await;
    for (sql, expected) in [
        (
            "SELECT DATE_TRUNC('hour', t) + INTERVAL '15 minutes' * FLOOR(EXTRACT(MINUTE FROM t) / 15), count(*)
             FROM (VALUES (TIMESTAMP '2024-01-01 10:40:00'), (TIMESTAMP '2024-01-01 10:31:00')) AS x (t) GROUP BY 1",
            "2024-01-01 10:30:00|2",
        ),
        (
            "SELECT 2 * INTERVAL '1 day', INTERVAL '1 hour' * 0.5, INTERVAL '1 day' * CAST(NULL AS INT)",
            "2 days|00:30:00|~",
        ),
    ] {
        assert_eq!(rows(&client, sql).await, [expected], "{sql}");
    }
    assert!(client.simple_query("SELECT INTERVAL '1 day' * 1e300").await.is_err());
}
