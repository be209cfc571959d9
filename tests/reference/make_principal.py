"""principal.json: numpy's right singular vectors of rows that are not centred, as src/linalg/principal.rs finds them."""

import json
import pathlib

import numpy

random = numpy.random.default_rng(11)
rows, columns, count = 40, 7, 4
lengths = numpy.linspace(3.0, 0.3, columns)
values = (random.normal(size=(rows, columns)) * lengths + 0.5).round(4).astype(numpy.float32)
_, _, directions = numpy.linalg.svd(values.astype(numpy.float64), full_matrices=False)
chosen = directions[:count]
chosen = chosen * numpy.sign(chosen[numpy.arange(count), numpy.abs(chosen).argmax(axis=1)])[:, None]
numbers = lambda array: [round(float(value), 7) for value in array.flatten()]
case = {"columns": columns, "rows": numbers(values), "count": count, "directions": numbers(chosen.T)}
path = pathlib.Path(__file__).parent / "principal.json"
path.write_text(json.dumps(case) + "\n")
