"""pg8000, PostgreSQL's protocol in Python alone: named parameters, prepared statements, and portals read in parts."""

import contextlib

import pg8000.exceptions
import pg8000.native
import walk


def open_connection(password=walk.PASSWORD):
    return pg8000.native.Connection(walk.USER, walk.HOST, walk.DATABASE, walk.PORT, password)


@contextlib.contextmanager
def connect():
    connection = open_connection()
    yield lambda statement, values: execute(connection, statement, values)
    connection.close()


def execute(connection, statement, values):
    rows = connection.run(walk.PARAMETER.sub(r":\1", statement), **values)
    return connection.columns and ([column["name"] for column in connection.columns], rows)


def check():
    connection = open_connection()
    rows = connection.run(walk.VALUES)
    walk.check_values([column["name"] for column in connection.columns], rows[0])
    text = "'; DROP TABLE x; -- é"
    assert connection.run("SELECT CAST(:t AS VARCHAR), CAST(:n AS BIGINT) + 1", t=text, n=41) == [[text, 42]]
    prepared = connection.prepare("SELECT count(*) FROM 'data/interactions.parquet' WHERE customer_id = :customer")
    counts = [prepared.run(customer=customer) for customer in (59, 60, 59)]
    assert counts[0] == counts[2] != counts[1], counts
    prepared.close()
    walk.refused(pg8000.exceptions.DatabaseError, lambda: connection.run("SELECT * FROM nowhere"), "42P01", "nowhere")
    assert connection.run("SELECT 1") == [[1]]
    connection.run("CREATE TABLE kept (n BIGINT); INSERT INTO kept VALUES (1), (2)")
    assert connection.run("SELECT sum(n) FROM kept") == [[3]]
    connection.close()
    walk.refused(pg8000.exceptions.DatabaseError, lambda: open_connection("wrong"), "28P01")


check()
walk.walk(connect)
