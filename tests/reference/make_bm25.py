"""What `hybrid_search` ranks texts by, according to bm25s: prints the scores of the rows of tests/slt/hybrid_search.slt.

    python make_bm25.py

Made with Python 3.11, bm25s 0.3. Its method "lucene" leaves out the factor k1 + 1, which is the same for all rows.
"""
import re

import bm25s

TEXTS = [
    "Tent TX-200 for two", "Tent TX-300 for three persons", "Sleeping bag, down", "A tent peg, a tent rope and a tent bag", "",
    "TX", "Lantern",
]
QUERIES = ["tent TX-200", "bag for a tent", "lantern", "xylophone"]

terms = lambda text: re.findall(r"[^\W_]+", text.lower())
retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
retriever.index([terms(text) for text in TEXTS], show_progress=False)
for query in QUERIES:
    known = [term for term in terms(query) if term in retriever.vocab_dict]
    scores = retriever.get_scores(known) * 2.2 if known else [0.0] * len(TEXTS)
    print(query, *(f"{float(score):.4f}" for score in scores))
