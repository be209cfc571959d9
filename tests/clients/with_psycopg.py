"""psycopg 3: bound parameters in text and binary, and cursors of the server, each fetched in parts."""

import contextlib

import psycopg
import walk


@contextlib.contextmanager
def connect():
    # The address and the password are libpq's variables.
    with psycopg.connect(autocommit=True) as connection:
        yield lambda statement, values: execute(connection, statement, values)


def execute(connection, statement, values):
    statement = walk.PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%")) if values else statement
    cursor = connection.execute(statement, values or None)
    return cursor.description and ([column.name for column in cursor.description], cursor.fetchall())


def check():
    with psycopg.connect() as connection:
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                # Twice: the second time as a prepared statement.
                for _ in range(2):
                    cursor.execute(walk.VALUES, prepare=True)
                    walk.check_values([column.name for column in cursor.description], cursor.fetchone())
                text = "'; DROP TABLE x; -- é"
                cursor.execute("SELECT %s || '', CAST(%s AS BIGINT) + 1, CAST(%s AS VARCHAR)", (text, 41, None))
                assert cursor.fetchone() == (text, 42, None)
        with connection.cursor(name="history") as cursor:
            cursor.itersize = 1000
            sql = "SELECT customer_id, timestamp FROM 'data/interactions.parquet' WHERE customer_id <= %s ORDER BY 2, 1"
            cursor.execute(sql, (200,))
            first = cursor.fetchmany(3)
            rows = first + list(cursor)
        counted = connection.execute("SELECT count(*) FROM 'data/interactions.parquet' WHERE customer_id <= 200")
        assert (len(rows),) == counted.fetchone() and len(rows) > 3000, len(rows)
        assert rows == sorted(rows, key=lambda row: (row[1], row[0]))
        with connection.cursor() as cursor:
            cursor.executemany("SELECT %s + 1", [(1,), (2,)], returning=True)
            assert [result.fetchone() for result in cursor.results()] == [(2,), (3,)]
        connection.commit()
        walk.refused(psycopg.errors.UndefinedTable, lambda: connection.execute("SELECT * FROM nowhere"), "nowhere")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    walk.refused(psycopg.OperationalError, lambda: psycopg.connect(password="wrong"), "password authentication failed")


check()
walk.walk(connect)
