"""PostgreSQL's JDBC driver, as Java's tools use it: bound parameters, results fetched in parts, and the metadata of databases."""

import contextlib
import datetime
import decimal
import os
import pathlib

import jpype
import walk

DRIVER = pathlib.Path(os.environ["DEBUT_TEST_JDBC"])
# Some packages of the driver leave what it needs for SCRAM in files of their own.
NEEDED = [file for name in ("scram", "saslprep", "stringprep") for file in DRIVER.parent.glob(f"*{name}*.jar")]
jpype.startJVM("-Xmx256m", classpath=[str(file) for file in [DRIVER, *NEEDED]])
DriverManager = jpype.JClass("java.sql.DriverManager")
SQLException = jpype.JClass("java.sql.SQLException")
URL = f"jdbc:postgresql://{walk.HOST}:{walk.PORT}/{walk.DATABASE}"


def open_connection(password=walk.PASSWORD):
    return DriverManager.getConnection(URL, walk.USER, password)


@contextlib.contextmanager
def connect():
    connection = open_connection()
    yield lambda statement, values: execute(connection, statement, values)
    connection.close()


def execute(connection, statement, values):
    text, values = walk.marked(statement, values)
    prepared = connection.prepareStatement(text)
    for number, value in enumerate(values, 1):
        if isinstance(value, int):
            prepared.setLong(number, value)
        else:
            prepared.setString(number, value)
    result = read(prepared.getResultSet()) if prepared.execute() else None
    prepared.close()
    return result


def read(rows):
    """The names and rows of a ResultSet."""
    columns = rows.getMetaData()
    numbers = range(1, columns.getColumnCount() + 1)
    found = []
    while rows.next():
        found.append([value(rows, number, str(columns.getColumnTypeName(number))) for number in numbers])
    return [str(columns.getColumnLabel(number)) for number in numbers], found


def value(rows, number, kind):
    """A value by the getter that fits its type."""
    if rows.getObject(number) is None:
        return None
    match kind:
        case "int2" | "int4" | "int8":
            return int(rows.getLong(number))
        case "float4" | "float8":
            return float(rows.getDouble(number))
        case "numeric":
            return decimal.Decimal(str(rows.getBigDecimal(number).toPlainString()))
        case "bool":
            return bool(rows.getBoolean(number))
        case "date":
            return datetime.date.fromisoformat(str(rows.getDate(number)))
        case "timestamp":
            return datetime.datetime.fromisoformat(str(rows.getObject(number, LocalDateTime).toString()))
        case "text" | "varchar":
            return str(rows.getString(number))
        case "_float4":
            return [float(element) for element in rows.getArray(number).getArray()]
        case "_int8" | "_int4":
            return [None if element is None else int(element) for element in rows.getArray(number).getArray()]
        case _:
            raise AssertionError(f"{kind} is not read here")


LocalDateTime = jpype.JClass("java.time.LocalDateTime").class_


def check():
    connection = open_connection()
    prepared = connection.prepareStatement(walk.VALUES)
    # From the fifth time on, the driver names the statement on the server and reads values in binary.
    for _ in range(7):
        names, rows = read(prepared.executeQuery())
        walk.check_values(names, rows[0])
    prepared.close()
    text = "'; DROP TABLE x; -- é"
    _, rows = execute(connection, "SELECT CAST($text AS VARCHAR), CAST($n AS BIGINT) + 1", {"text": text, "n": 41})
    assert rows == [[text, 42]], rows

    # In parts of 500 rows: a portal of the server.
    connection.setAutoCommit(False)
    statement = connection.createStatement()
    statement.setFetchSize(500)
    rows = statement.executeQuery("SELECT product_id FROM 'data/products.parquet' ORDER BY product_id")
    found = []
    while rows.next():
        found.append(int(rows.getLong(1)))
        assert rows.getFetchSize() == 500
    assert len(found) == 2000 and found == sorted(found), len(found)
    statement.close()
    connection.commit()
    connection.setAutoCommit(True)

    statement = connection.createStatement()
    statement.execute("CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet'")
    statement.execute("CREATE VIEW cheap AS SELECT title, price FROM products WHERE price < 10")
    metadata = connection.getMetaData()
    assert metadata.getDatabaseProductName() == "PostgreSQL"
    tables = table(metadata.getTables(None, "public", "%", ["TABLE", "VIEW"]), "TABLE_NAME", "TABLE_TYPE")
    assert ["cheap", "VIEW"] in tables and ["products", "TABLE"] in tables, tables
    columns = table(metadata.getColumns(None, "public", "products", "%"), "COLUMN_NAME", "TYPE_NAME")
    assert ["product_id", "int8"] in columns and ["launched_at", "timestamp"] in columns, columns
    assert ["public"] in table(metadata.getSchemas(), "TABLE_SCHEM")
    assert table(metadata.getCatalogs(), "TABLE_CAT") == [[walk.DATABASE]]
    assert table(metadata.getPrimaryKeys(None, "public", "products"), "COLUMN_NAME") == []
    walk.refused(SQLException, lambda: statement.executeQuery("SELECT * FROM nowhere"), "nowhere")
    connection.close()
    walk.refused(SQLException, lambda: open_connection("wrong"), "password authentication failed")


def table(rows, *names):
    """These columns of a ResultSet of metadata."""
    found = []
    while rows.next():
        found.append([str(rows.getString(name)) for name in names])
    return found


check()
walk.walk(connect)
