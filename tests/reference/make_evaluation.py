"""Writes recommend/evaluation.json: what scikit-learn, SciPy and NumPy make of a few rankings, lists and probabilities.
Prints what they make of the rows of tests/slt/metrics.slt.

Users rank 40 candidates; some are left out. Scores of the first users are all different, those of the last ones are tied in
places, and then only the AUC is given, which counts ties half. NaN is written as null.

    python make_evaluation.py

Made with Python 3.12, scikit-learn 1.9.1, SciPy 1.18.0, NumPy 2.5.5.
"""
import json
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from sklearn.calibration import calibration_curve
from sklearn.metrics import (average_precision_score, brier_score_loss, classification_report, log_loss, ndcg_score,
                             roc_auc_score)
from sklearn.metrics.pairwise import cosine_similarity

CUTS, CANDIDATES = [1, 5, 20], 40
random = np.random.default_rng(4)


def short(values):
    """As many digits as an f32 has, so that both sides read the same numbers."""
    return np.float32(values).round(4).astype(float).tolist()


def user(tied):
    scores = random.permutation(CANDIDATES) / 16 - 1
    if tied:
        scores = np.round(scores * 2) / 2
    relevant = np.sort(random.choice(CANDIDATES, random.integers(1, 9), replace=False))
    left_out = np.sort(random.choice(np.setdiff1d(np.arange(CANDIDATES), relevant), random.integers(0, 12), replace=False))
    kept = np.setdiff1d(np.arange(CANDIDATES), left_out)
    truth, kept_scores = np.isin(kept, relevant).astype(int), scores[kept]
    case = dict(scores=scores.tolist(), relevant=relevant.tolist(), left_out=left_out.tolist(),
                auc=roc_auc_score(truth, kept_scores))
    if not tied:
        order = np.argsort(-kept_scores)
        hits = truth[order]
        case |= dict(
            top=kept[order][:max(CUTS)].tolist(),
            recall=[hits[:k].sum() / hits.sum() for k in CUTS],
            ndcg=[ndcg_score([truth], [kept_scores], k=k) for k in CUTS],
            hit_rate=[float(hits[:k].any()) for k in CUTS],
            average_precision=average_precision_score(truth, kept_scores),
            mrr=1 / (1 + hits.argmax()),
        )
    return case


def calibration_bins(happened, p, bins):
    """Of each kind of bins: what happened in them, what was predicted, the rows of each, and the calibration error."""
    error = {}
    for strategy in ("quantile", "uniform"):
        observed, predicted = calibration_curve(happened, p, n_bins=bins, strategy=strategy)
        # The bins' sizes, by the edges of calibration_curve.
        shares = np.linspace(0, 1, bins + 1)
        edges = np.percentile(p, shares * 100) if strategy == "quantile" else shares
        counts = np.bincount(np.searchsorted(edges[1:-1], p), minlength=bins)
        counts = counts[counts > 0]
        error[strategy] = dict(observed=observed.tolist(), predicted=predicted.tolist(), rows=counts.tolist(),
                               error=float((counts * abs(observed - predicted)).sum() / len(p)))
    return error


def calibration(rows, tied, bins):
    p = random.beta(1, 12, rows).round(2 if tied else 5)
    happened = random.random(rows) < p * 1.3
    return dict(happened=happened.tolist(), p=p.tolist(), bins=bins, log_loss=log_loss(happened, p),
                brier=brier_score_loss(happened, p), **calibration_bins(happened, p, bins))


def lists():
    """Ten users' lists of five of twelve items, and the items' vectors."""
    shown = [random.choice(12, 5, replace=False, p=np.arange(1, 13) / 78).tolist() for _ in range(10)]
    counts = np.bincount(np.concatenate([one[:3] for one in shown]), minlength=12)
    vectors = np.array(short(random.normal(size=(12, 4))))
    pairs = np.triu_indices(5, 1)
    return dict(lists=shown, k=3, items=12, coverage=float((counts > 0).mean()),
                # Half of the relative mean absolute difference.
                gini=float(abs(counts[:, None] - counts).mean() / counts.mean() / 2),
                vectors=vectors.tolist(),
                diversity=[float(1 - cosine_similarity(vectors[one])[pairs].mean()) for one in shown])


def interval():
    values = short(random.gamma(0.7, size=60))
    found = bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=random).confidence_interval
    return dict(values=values, mean=float(np.mean(values)), low=float(found.low), high=float(found.high))


def sql():
    """AUC, log-loss, calibration error with 15 and 10 bins, NDCG at 10 by p and by p rounded to tenths, a report of classes."""
    row = np.arange(1, 1001)
    label = (row * 7919 % 13 < 4).astype(int)
    p = (row * 37 % 101 * 6 + label * (row % 5) * 60) / 1000
    relevance = row * 31 % 7 % 4
    for group in range(4):
        y, q, r = (column[row % 4 == group] for column in (label, p, relevance))
        errors = [calibration_bins(y, q, bins)["quantile"]["error"] for bins in (15, 10)]
        gains = [ndcg_score([r], [scores], k=10) for scores in (q, np.floor(q * 10))]
        print(group, *(round(float(x), 4) for x in [roc_auc_score(y, q), log_loss(y, q), *errors, *gains]))
    # Classes, of which 'odd' is never predicted and 'new' is never true.
    names, predicted_names = np.array(["mug", "tea", "cup", "odd"]), np.array(["mug", "tea", "cup", "new"])
    true = np.where(row % 97 == 0, "odd", names[row * 13 % 7 % 3])
    predicted = np.where(row * 7919 % 5 == 0, predicted_names[row * 31 % 4], np.where(true == "odd", "tea", true))
    print(classification_report(true, predicted, digits=4, zero_division=0))


sql()
reference = dict(cuts=CUTS, users=[user(False) for _ in range(6)] + [user(True) for _ in range(3)],
                 calibration=[calibration(150, False, 15), calibration(97, False, 10), calibration(130, True, 15)],
                 lists=lists(), interval=interval())
path = Path(__file__).with_name("recommend") / "evaluation.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")
