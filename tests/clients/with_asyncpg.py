"""asyncpg, which speaks binary only: prepared statements with typed parameters, and cursors."""

import asyncio
import contextlib
import datetime

import asyncpg
import walk

LOOP = asyncio.new_event_loop()


@contextlib.contextmanager
def connect():
    # The address and the password are in the variables that it shares with libpq.
    connection = LOOP.run_until_complete(asyncpg.connect())
    yield lambda statement, values: LOOP.run_until_complete(execute(connection, statement, values))
    LOOP.run_until_complete(connection.close())


async def execute(connection, statement, values):
    statement, values = walk.numbered(statement, values)
    prepared = await connection.prepare(statement)
    names = [attribute.name for attribute in prepared.get_attributes()]
    rows = await prepared.fetch(*values)
    return (names, rows_of(rows)) if names else None


def rows_of(records):
    return [tuple(record) for record in records]


async def check():
    connection = await asyncpg.connect()
    prepared = await connection.prepare(walk.VALUES)
    record = await prepared.fetchrow()
    walk.check_values(list(record.keys()), tuple(record))
    types = await connection.prepare(
        "SELECT count(*) FROM 'data/interactions.parquet' WHERE customer_id = $1 AND timestamp >= $2 AND event = $3"
    )
    # The types are the columns'.
    assert [kind.name for kind in types.get_parameters()] == ["int8", "timestamp", "text"], types.get_parameters()
    counted = await types.fetchval(59, datetime.datetime(2025, 6, 1), "view")
    by_hand = await connection.fetchval(
        """SELECT count(*) FROM 'data/interactions.parquet'
           WHERE customer_id = 59 AND timestamp >= '2025-06-01' AND event = 'view'"""
    )
    assert counted == by_hand > 0, (counted, by_hand)
    text = "'; DROP TABLE x; -- é"
    assert await connection.fetchval("SELECT CAST($1 AS VARCHAR)", text) == text
    assert await connection.fetchval("SELECT CAST($1 AS VARCHAR)", None) is None
    vector = await connection.fetchval("SELECT embed($1)", "tea")
    near = await connection.fetchval("SELECT inner_product(embed('tea'), embed($1))", "tea")
    assert len(vector) == 384 and abs(near - 1) < 1e-5, near
    async with connection.transaction():
        cursor = await connection.cursor("SELECT product_id FROM 'data/products.parquet' ORDER BY product_id")
        first = await cursor.fetch(10)
        await cursor.forward(990)
        rest = await cursor.fetch(5000)
        assert (len(first), len(rest)) == (10, 1000), len(rest)
        assert first[-1][0] < rest[0][0]
    try:
        await connection.fetch("SELECT * FROM nowhere")
        raise AssertionError("nowhere is a table")
    except asyncpg.UndefinedTableError as told:
        assert "nowhere" in str(told), told
    # A query that is given up is cancelled, and the connection goes on.
    try:
        await connection.fetch("SELECT count(*) FROM generate_series(1, 1000000000000)", timeout=0.2)
        raise AssertionError("the query ended")
    except asyncio.TimeoutError:
        pass
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


LOOP.run_until_complete(check())
walk.walk(connect)
