"""Writes recommend/components.json: small inputs of the recommender's components and what scikit-learn, SciPy and NumPy make
of them in double precision.

    python make_components.py

Made with Python 3.12, scikit-learn 1.9.1, SciPy 1.18.1, NumPy 2.5.5; the versions are printed into the file.
"""
import json
from pathlib import Path

import numpy as np
import scipy
import scipy.sparse as sp
import sklearn
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

random = np.random.default_rng(20)


def numbers(values):
    """As many digits as an f32 has."""
    return [float(f"{value:.8g}") for value in np.asarray(values, dtype=float).ravel()]


def halves(*shape):
    """Numbers that both sides read alike."""
    return np.round(random.standard_normal(shape) * 64) / 64


def pairs(matrix):
    return [[[int(column), float(f"{value:.8g}")] for column, value in zip(row.indices, row.data)] for row in matrix]


def interactions(users, items, share):
    has = random.random((users, items)) < share * np.linspace(0.3, 1.7, items)
    return has * random.integers(1, 4, (users, items)) / 2.0


def factors():
    values, size, alpha, weight = interactions(30, 20, 0.2), 4, 20.0, 10.0
    values[7] = 0
    confidence = 1 + alpha * values
    wanted = (values > 0).astype(float)
    items = halves(20, size)

    def solve(confidence, wanted, other):
        return np.array([
            np.linalg.solve(other.T @ (c[:, None] * other) + weight * np.eye(size), other.T @ (c * w))
            for c, w in zip(confidence, wanted)
        ])

    def loss(users, items):
        error = (confidence * (wanted - users @ items.T) ** 2).sum()
        return error + weight * ((users**2).sum() + (items**2).sum())

    users = solve(confidence, wanted, items)
    # Two starts that end at the same loss: the least there is, as far as anyone can tell.
    losses = []
    for seed in (1, 2):
        y = np.random.default_rng(seed).standard_normal((20, size))
        for _ in range(3000):
            x = solve(confidence, wanted, y)
            y = solve(confidence.T, wanted.T, x)
        losses.append(loss(x, y))
    assert abs(losses[0] - losses[1]) < 1e-6 * losses[0], losses
    return dict(interactions=pairs(sp.csr_array(values)), items=numbers(items), users=numbers(users), loss=losses[0])


def ease():
    values, weight = interactions(40, 12, 0.4), 5.0
    has = (values > 0).astype(float)
    # Every item is had together with every other: the local weights then know all of them.
    assert (has.T @ has > 0).all()
    inverse = np.linalg.inv(has.T @ has + weight * np.eye(12))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return dict(interactions=pairs(sp.csr_array(values)), weights=numbers(weights), scores=numbers(has[:3] @ weights))


TEXTS = [
    "White hanging heart T-light holder", "WHITE METAL LANTERN", "Cream cupid hearts coat hanger",
    "heart of wicker small", "Heart heart HEART of glass, 3 sizes", "", "a b c", "T-light  holder\twhite",
    "Größe XL: Überraschungsbox für Ähnliche", "ΟΔΥΣΣΕΥΣ travel mug", "İstanbul tea glass", "naïve café set n°4",
    "东京 茶碗 set", "Чайник эмалированный", "snake_case item_42", "1234567 12 1 pcs",
]
UNSEEN = ["white HEART lantern, large", "nothing known: zzzqqq", "Чайник für café", ""]


def tfidf():
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True)
    words.fit(TEXTS), pieces.fit(TEXTS)

    def rows(weight, texts):
        return normalize(sp.hstack([words.transform(texts), weight * pieces.transform(texts)]).tocsr())

    return dict(
        texts=TEXTS, unseen=UNSEEN, words=sorted(words.vocabulary_), pieces=sorted(pieces.vocabulary_),
        even=pairs(rows(1.0, TEXTS)), uneven=pairs(rows(0.25, UNSEEN)),
    )


def ridge():
    features = halves(25, 7) * (random.random((25, 7)) < 0.4)
    targets, weights, others = halves(25, 3), random.integers(0, 4, 25) / 2.0, halves(4, 7)
    case = dict(
        features=pairs(sp.csr_array(features)), targets=numbers(targets), sample_weights=numbers(weights),
        others=numbers(others), width=7, fits=[],
    )
    for weight, sample_weights in [(0.5, None), (2.0, weights)]:
        model = Ridge(alpha=weight, solver="cholesky").fit(features, targets, sample_weight=sample_weights)
        case["fits"].append(dict(
            weight=weight, weighted=sample_weights is not None, weights=numbers(model.coef_.T),
            intercept=numbers(model.intercept_), predictions=numbers(model.predict(others)),
        ))
    return case


def logistic():
    features = halves(60, 3)
    chance = 1 / (1 + np.exp(-(features @ [1.0, -1.5, 0.2] - 1)))
    labels, weights = (random.random(60) < chance).astype(int), random.integers(1, 5, 60) / 2.0
    model = LogisticRegression(C=1 / 0.5, tol=1e-12, max_iter=10000).fit(features, labels, sample_weight=weights)

    def loss(b):
        logits = features @ b[:3] + b[3]
        return (weights * (np.logaddexp(0, logits) - labels * logits)).sum() + 1.5 * ((b[:3] - towards) ** 2).sum()

    towards = np.array([0.5, 0.25, 0.0])
    bounded = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(0, None)] * 2 + [(None, None)] * 2,
                       options=dict(ftol=1e-15, gtol=1e-10, maxiter=10000))
    assert bounded.x[1] == 0, bounded.x
    return dict(
        features=numbers(features), labels=labels.tolist(), weights=numbers(weights), lambda_=0.5,
        intercept=float(model.intercept_[0]), coefficients=numbers(model.coef_), bounded_lambda=3.0,
        towards=numbers(towards), bounded=numbers(bounded.x),
    )


def conditional():
    sizes = [5, 8, 3, 6, 7, 4, 9, 5]
    ends = np.cumsum(sizes)
    features, weights = halves(ends[-1], 3), random.integers(1, 4, len(sizes)) / 1.0
    chosen = np.zeros(ends[-1], dtype=bool)
    for group, end in enumerate(ends):
        rows = np.arange(end - sizes[group], end)
        appeal = features[rows] @ [1.0, -1.0, 0.0] + random.gumbel(size=len(rows))
        # One group in which nothing is chosen, the others with one to three.
        chosen[rows[np.argsort(-appeal)[: 0 if group == 3 else 1 + group % 3]]] = True

    def loss(b):
        total = 0.0
        for group, end in enumerate(ends):
            rows = np.arange(end - sizes[group], end)
            if chosen[rows].any():
                scores = features[rows] @ b
                total -= weights[group] * (scores[chosen[rows]] - scipy.special.logsumexp(scores)).mean()
        return total + 0.5 / 2 * (b**2).sum()

    def best(bounds):
        found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=bounds,
                         options=dict(ftol=1e-15, gtol=1e-10, maxiter=10000))
        return found.x

    free, bounded = best([(None, None)] * 3), best([(0, None)] * 3)
    assert (bounded == 0).any(), bounded
    return dict(
        features=numbers(features), ends=ends.tolist(), chosen=chosen.tolist(), weights=numbers(weights), lambda_=0.5,
        free=numbers(free), bounded=numbers(bounded),
    )


reference = dict(
    scikit_learn=sklearn.__version__, scipy=scipy.__version__, numpy=np.__version__, factors=factors(), ease=ease(),
    tfidf=tfidf(), ridge=ridge(), logistic=logistic(), conditional=conditional(),
)
path = Path(__file__).parent / "recommend" / "components.json"
path.write_text(json.dumps(reference, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
print(path.stat().st_size)
