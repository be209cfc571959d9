"""ADBC's driver for Arrow Flight SQL: bound parameters, Arrow tables, streams, and the objects of a database."""

import contextlib
import os

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow
import walk


def open_connection(password=walk.PASSWORD):
    options = {"username": walk.USER, "password": password}
    # So that a session of the server belongs to this connection.
    options["adbc.flight.sql.rpc.with_cookie_middleware"] = "true"
    uri = f"grpc://{os.environ['DEBUT_FLIGHT']}"
    return adbc_driver_flightsql.dbapi.connect(uri, db_kwargs=options, autocommit=True)


@contextlib.contextmanager
def connect():
    with open_connection() as connection:
        yield lambda statement, values: execute(connection, statement, values)


def execute(connection, statement, values):
    text, values = walk.numbered(statement, values)
    with connection.cursor() as cursor:
        cursor.execute(text, values or None)
        table = cursor.fetch_arrow_table()
    rows = [list(row.values()) for row in table.to_pylist()]
    return (table.column_names, rows) if table.column_names else None


def check():
    with open_connection() as connection, connection.cursor() as cursor:
        cursor.execute(walk.VALUES)
        table = cursor.fetch_arrow_table()
        walk.check_values(table.column_names, list(table.to_pylist()[0].values()))
        # A vector is an Arrow array of its length, without a copy.
        assert table.schema.field("vector").type == pyarrow.list_(pyarrow.field("item", pyarrow.float32()), 384), (
            table.schema
        )
        text = "'; DROP TABLE x; -- é"
        cursor.execute("SELECT CAST(? AS VARCHAR), CAST(? AS BIGINT) + 1", (text, 41))
        assert cursor.fetchone() == (text, 42)
        cursor.execute("SELECT customer_id, timestamp FROM 'data/interactions.parquet'")
        rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        cursor.execute("SELECT count(*) FROM 'data/interactions.parquet'")
        assert (rows,) == cursor.fetchone() and rows > 10_000, rows
        cursor.execute("CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet'")
        schema = connection.adbc_get_table_schema("products")
        assert schema.field("product_id").type == pyarrow.int64(), schema
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        tables = [
            table["table_name"]
            for catalog in objects
            for schema in catalog["catalog_db_schemas"]
            for table in schema["db_schema_tables"]
        ]
        assert "products" in tables and "training_runs" in tables, tables
        assert connection.adbc_get_info()["vendor_name"] == "Debut", connection.adbc_get_info()
        error = adbc_driver_manager.Error
        walk.refused(error, lambda: cursor.execute("SELECT * FROM nowhere"), "there is no table 'nowhere'")
    walk.refused(error, lambda: open_connection("wrong").cursor().execute("SELECT 1"), "password is wrong")


check()
walk.walk(connect)
