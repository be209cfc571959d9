"""Embeds a file of texts behind a cache made by hand: SQLite by SHA-256 of the text, all-MiniLM-L6-v2 by sentence-transformers.

Run by `cargo bench --bench cache`: cache.py MODEL BEFORE.parquet AFTER.parquet. Each run is a process of its own, as every
night's is; its seconds count from the first line of this script, imports and model included.
"""

import time

begun = time.perf_counter()

import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile


def embed(model, path, cache):
    import numpy
    import pyarrow.parquet

    texts = pyarrow.parquet.read_table(path)["t"].to_pylist()
    base = sqlite3.connect(cache)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    found = {}
    for key in keys:
        row = base.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        if row:
            found[key] = numpy.frombuffer(row[0], dtype=numpy.float32)
    new = {key: text for key, text in zip(keys, texts) if key not in found}
    if new:
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(model, device="cpu")
        vectors = encoder.encode(list(new.values()), batch_size=64, normalize_embeddings=True)
        with base:
            base.executemany("INSERT INTO vectors VALUES (?, ?)", [(key, vector.tobytes()) for key, vector in zip(new, vectors)])
        found.update(zip(new, vectors))
    return numpy.stack([found[key] for key in keys])


if len(sys.argv) == 5:
    embed(sys.argv[1], sys.argv[2], sys.argv[3])
    print(time.perf_counter() - begun)
else:
    model, before, after = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        cache = os.path.join(folder, "cache.db")
        runs = [
            float(subprocess.run([sys.executable, __file__, model, path, cache, "run"], check=True, capture_output=True).stdout)
            for path in (before, before, after)
        ]
    first, second, third = runs
    print(
        f"python, sentence-transformers and SQLite: first {first:.2f} s, second {second:.3f} s: {first / second:.0f} times as fast; "
        f"2% changed {third:.3f} s: {100 * third / first:.2f}% of the first"
    )
