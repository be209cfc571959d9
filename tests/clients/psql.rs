//! psql, which runs the whole walk and a few of its own commands.

use std::fs;
use std::process::Command;

use crate::results::{Key, Texts};
use crate::serve::{PASSWORD, Server};
use crate::statements;
use crate::walk::{Step, WALK};

/// Between fields and between rows; no text of the shop has them.
const FIELD: char = '\u{1f}';
const ROW: char = '\u{1e}';
/// NULL, which is not the empty text.
pub(crate) const NULL: &str = "\u{2205}";
const MARK: &str = "== statement ";

/// Looks for it.
///
/// # Errors
/// It does not run.
pub(crate) fn find() -> Result<(), String> {
    match Command::new("psql").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// libpq's variables for a server: asyncpg and psycopg read them, too.
pub(crate) fn variables(server: &Server) -> [(&'static str, String); 5] {
    [
        ("PGHOST", server.address.ip().to_string()),
        ("PGPORT", server.address.port().to_string()),
        ("PGUSER", "ada".to_owned()),
        ("PGPASSWORD", PASSWORD.to_owned()),
        ("PGDATABASE", "debut".to_owned()),
    ]
}

/// Runs the files, each in a session of its own, and gives the results.
pub(crate) fn walk(server: &Server) -> Texts {
    let mut texts = Texts::new();
    // It trains four recommenders, and shows of a client what `recommend.sql` shows.
    for step in WALK.iter().filter(|step| step.file != "transfer.sql") {
        let begun = std::time::Instant::now();
        let output = run(server, &script(step), step.parameters);
        assert!(output.contains(step.expected), "{} printed\n{output}", step.file);
        eprintln!("psql, {}: {:.1} s", step.file, begun.elapsed().as_secs_f64());
        let statements = statements::all(step);
        assert_eq!(output.matches(MARK).count(), statements.len(), "{} printed\n{output}", step.file);
        for (number, result) in output.split(MARK).skip(1).enumerate() {
            // There are more when the others ask.
            if step.file == "train.sql" && statements[number].contains("debut.training_runs") {
                assert!(result.contains("aisle@"), "{result}");
                continue;
            }
            let (_, result) = result.split_once('\n').unwrap();
            let rows = result.trim_end_matches('\n').split(ROW).filter(|row| !row.is_empty());
            let rows = rows.map(|row| row.split(FIELD).map(str::to_owned).collect());
            texts.insert(Key::new(step.file, number), rows.collect());
        }
    }
    assert!(server.path("launch_mailing.parquet").exists() && server.path("launches_for_customers.parquet").exists());
    commands(server);
    texts
}

/// A file as a script of psql, whose variables are written in another way.
fn script(step: &Step) -> String {
    let mut script = String::new();
    for (number, sql) in statements::all(step).iter().enumerate() {
        let mut sql = sql.clone();
        for (name, value) in step.parameters {
            let variable = if value.parse::<i64>().is_ok() { format!(":{name}") } else { format!(":'{name}'") };
            sql = sql.replace(&format!("${name}"), &variable);
        }
        script.push_str(&format!("\\echo '{MARK}'{number}\n{sql};\n"));
    }
    script
}

/// What psql has besides statements: descriptions of tables and functions, and results that are read through a cursor.
fn commands(server: &Server) {
    let script = "CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet';
        CREATE VIEW cheap AS SELECT title FROM products WHERE price < 10;
        CREATE TABLE kept AS SELECT 7 AS n;
        \\dt
        \\dv
        \\d products
        \\df embed
        \\dn
        \\l
        \\set FETCH_COUNT 300
        SELECT 'item ' || product_id AS name FROM products;
        PREPARE dear (DOUBLE) AS SELECT 'dear: ' || count(*) AS dear FROM products WHERE price > $1;
        EXECUTE dear (40.0);
        \\echo user :USER";
    let output = run(server, script, &[]);
    for expected in ["kept", "cheap", "launched_at", "timestamp", "embed", "public", "debut", "dear: ", "user ada"] {
        assert!(output.contains(expected), "{expected} is not in what psql printed\n{output}");
    }
    assert_eq!(output.matches("item ").count(), 2000, "{output}");
}

/// What psql prints when it runs a script to its end.
fn run(server: &Server, script: &str, parameters: &[(&str, &str)]) -> String {
    let file = server.path("script.psql");
    fs::write(&file, script).unwrap();
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--set=ON_ERROR_STOP=1", "--pset=footer=off"]);
    psql.arg(format!("--field-separator={FIELD}")).arg(format!("--record-separator={ROW}"));
    psql.arg(format!("--pset=null={NULL}")).arg("--file").arg(file);
    psql.args(parameters.iter().map(|(name, value)| format!("--set={name}={value}")));
    let output = psql.envs(variables(server)).env("PGCLIENTENCODING", "UTF8").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "psql: {stderr}\n{stdout}\n{script}");
    stdout.into_owned()
}
