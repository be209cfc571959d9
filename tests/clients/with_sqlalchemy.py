"""SQLAlchemy 2 over psycopg 3: text() with bound parameters, reflection, and results that stream."""

import contextlib

import sqlalchemy
import walk
from sqlalchemy import inspect, text

ENGINE = sqlalchemy.create_engine(
    sqlalchemy.URL.create("postgresql+psycopg", walk.USER, walk.PASSWORD, walk.HOST, walk.PORT, walk.DATABASE)
)


@contextlib.contextmanager
def connect():
    # A session of its own: not one of the pool, where the tables of the file before would be.
    with ENGINE.connect() as connection:
        yield lambda statement, values: execute(connection, statement, values)
        connection.invalidate()


def execute(connection, statement, values):
    result = connection.execute(text(walk.PARAMETER.sub(r":\1", statement)), values)
    return (list(result.keys()), result.all()) if result.returns_rows else None


def check():
    with ENGINE.connect() as connection:
        result = connection.execute(text(walk.VALUES))
        walk.check_values(list(result.keys()), result.one())
        connection.execute(
            text("CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet'")
        )
        connection.execute(text("CREATE VIEW cheap AS SELECT title, price FROM products WHERE price < 10"))
        connection.execute(text("CREATE TABLE latest AS SELECT product_id, launched_at FROM products LIMIT 5"))
        found = inspect(connection)
        assert {"products", "latest"} <= set(found.get_table_names()), found.get_table_names()
        assert found.get_view_names() == ["cheap"], found.get_view_names()
        columns = {column["name"]: column["type"] for column in found.get_columns("products")}
        assert isinstance(columns["product_id"], sqlalchemy.BIGINT), columns
        assert isinstance(columns["launched_at"], sqlalchemy.TIMESTAMP), columns
        assert isinstance(columns["title"], (sqlalchemy.TEXT, sqlalchemy.VARCHAR)), columns
        assert found.get_pk_constraint("products")["constrained_columns"] == []
        assert found.get_foreign_keys("products") == [] and found.get_indexes("products") == []
        # A table as it was reflected, in a query that SQLAlchemy writes.
        products = sqlalchemy.Table("products", sqlalchemy.MetaData(), autoload_with=connection)
        query = (
            sqlalchemy.select(products.c.category, sqlalchemy.func.count().label("items"))
            .where(products.c.price < 20.0, products.c.title.like("%Tea%"))
            .group_by(products.c.category)
            .order_by(sqlalchemy.desc("items"), products.c.category)
        )
        by_hand = """SELECT category, count(*) FROM products WHERE price < 20 AND title LIKE '%Tea%'
                     GROUP BY category ORDER BY 2 DESC, 1"""
        rows = connection.execute(query).all()
        assert rows == connection.execute(text(by_hand)).all() and len(rows) > 1, rows
        streamed = connection.execution_options(stream_results=True, max_row_buffer=100)
        sizes = [len(part) for part in streamed.execute(text("SELECT title FROM products")).partitions(100)]
        assert sizes == [100] * 20, sizes
        connection.invalidate()


check()
walk.walk(connect)
