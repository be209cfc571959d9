"""What the Python clients share.

Takes the statements of `sql/` from the file that the test names, with the parameters' values; runs them by a client's own
function; tells the test each result as a line of JSON. Also the values that each client must read in types of its own.
"""

import datetime
import decimal
import json
import math
import os
import re
import sys

HOST, PORT = os.environ["PGHOST"], int(os.environ["PGPORT"])
USER, PASSWORD = os.environ["PGUSER"], os.environ["PGPASSWORD"]
DATABASE = os.environ["PGDATABASE"]

PARAMETER = re.compile(r"\$([a-z]+)")

# One row of all that a client may have to decode.
VALUES = """
SELECT CAST(-7 AS BIGINT) AS whole, CAST(3 AS INT) AS small, CAST(1.5 AS DOUBLE) AS wide, CAST(0.25 AS REAL) AS narrow,
       CAST(12.30 AS DECIMAL(10, 2)) AS price, true AS yes, 'tea, "é" '' \\ 茶' AS text, CAST(NULL AS VARCHAR) AS nothing,
       CAST(NULL AS DOUBLE) AS unknown, DATE '2025-12-31' AS day, TIMESTAMP '2025-12-31T23:59:58.123456' AS moment,
       embed('a gift for somebody who loves tea') AS vector, [1, NULL, 3] AS list
"""
NAMES = "whole small wide narrow price yes text nothing unknown day moment vector list".split()


def walk(connect):
    """Runs each file in a session of its own: connect() gives a context whose value is called with a statement and the values
    of its parameters, and gives names and rows, or None where there are none."""
    with open(sys.argv[1], encoding="utf-8") as file:
        files = json.load(file)
    for file in files:
        with connect() as execute:
            for statement in file["statements"]:
                number, statement = statement["number"], statement["sql"]
                used = {name: file["parameters"][name] for name in PARAMETER.findall(statement)}
                result = execute(statement, used)
                if result is not None:
                    names, rows = result
                    rows = [[plain(value) for value in row] for row in rows]
                    told = {"file": file["file"], "statement": number, "columns": list(names), "rows": rows}
                    print(json.dumps(told, ensure_ascii=False), flush=True)
    check_copy(connect)


def check_copy(connect):
    """Whether COPY writes what a parameter chooses: the walk's own exports take too long to run for each client."""
    file = f"written_{os.path.basename(sys.argv[0])}.parquet"
    with connect() as execute:
        history = "SELECT product_id, event FROM 'data/interactions.parquet' WHERE customer_id = $customer"
        execute(f"COPY ({history}) TO '{file}' STORED AS PARQUET", {"customer": 59})
        execute(f"CREATE TABLE copied AS SELECT * FROM '{file}'", {})
        _, written = execute("SELECT product_id, event FROM copied ORDER BY product_id, event", {})
        _, chosen = execute(f"{history} ORDER BY product_id, event", {"customer": 59})
        assert written == chosen and len(written) > 10, (written, chosen)


def numbered(statement, values):
    """The statement with $1, $2 and so on, and the values in their order."""
    order = list(values)
    return PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement), [values[name] for name in order]


def marked(statement, values):
    """The statement with question marks, and a value for each."""
    return PARAMETER.sub("?", statement), [values[name] for name in PARAMETER.findall(statement)]


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def check_values(names, row):
    """Whether a client read VALUES as what they are."""
    assert list(names) == NAMES, names
    found = dict(zip(names, row))
    expected = {
        "whole": -7,
        "small": 3,
        "wide": 1.5,
        "narrow": 0.25,
        "price": decimal.Decimal("12.30"),
        "yes": True,
        "text": "tea, \"é\" ' \\ 茶",
        "nothing": None,
        "unknown": None,
        "day": datetime.date(2025, 12, 31),
        "moment": datetime.datetime(2025, 12, 31, 23, 59, 58, 123456),
        "list": [1, None, 3],
    }
    for name, value in expected.items():
        assert found[name] == value and type(found[name]) is type(value), f"{name} is {found[name]!r}, not {value!r}"
    vector = found["vector"]
    assert isinstance(vector, list) and len(vector) == 384, vector
    assert all(type(element) is float for element in vector), vector[:3]
    assert math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-5), math.hypot(*vector)


def refused(error, action, *parts):
    """Whether an action fails with an error of the client whose text has these parts."""
    try:
        action()
    except error as told:
        assert all(part in str(told) for part in parts), told
        return
    raise AssertionError(f"no error with {parts}")
