"""What `psi` gives, by NumPy: writes psi.json. Run with: python tests/reference/make_psi.py"""

import json
from pathlib import Path

import numpy as np

HALF = 0.5


def index(old, new):
    old = (old + HALF) / (old.sum() + HALF * len(old))
    new = (new + HALF) / (new.sum() + HALF * len(new))
    return float(((new - old) * np.log(new / old)).sum())


def numbers(reference, new, bins):
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    counts = lambda values: np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return index(counts(reference), counts(new))


def categories(reference, new):
    names = sorted(set(reference) | set(new))
    counts = lambda values: np.array([values.count(name) for name in names], dtype=float)
    return index(counts(reference), counts(new))


random = np.random.default_rng(14)
cases = []
for reference, new, bins in [
    (random.normal(size=400), random.normal(size=90), 10),
    (random.normal(size=400), random.normal(0.6, 1.5, size=90), 10),
    (random.exponential(size=57), random.exponential(2.0, size=31), 4),
    (random.integers(0, 4, size=200).astype(float), random.integers(1, 6, size=50).astype(float), 10),
    (np.full(20, 3.0), np.array([3.0, 4.0, 5.0]), 5),
    (np.array([1.0]), np.array([2.0]), 2),
]:
    reference, new = reference.round(6), new.round(6)
    found = numbers(reference, new, bins)
    cases.append({"reference": reference.tolist(), "new": new.tolist(), "bins": bins, "found": found})
for reference, new in [
    (list("aaaabbbccd"), list("aabbbcccde")),
    (list("aabb"), list("cccc")),
    (list("abcabc"), list("abcabc")),
]:
    cases.append({"reference": reference, "new": new, "bins": None, "found": categories(reference, new)})
Path(__file__).with_name("psi.json").write_text(json.dumps(cases) + "\n")
