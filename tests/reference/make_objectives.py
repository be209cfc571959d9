"""Writes objectives.json: small batches of every objective with the loss, its gradients and the outputs that PyTorch
computes in double precision, first values of heads, and metrics by scikit-learn and SciPy.

Losses are written here from their definitions over users, texts and labels, not from the inputs of the graph.

    python make_objectives.py

Made with Python 3.12, torch 2.15.0 (CPU), numpy, scikit-learn and scipy as printed into the file.
"""
import json
from pathlib import Path

import numpy as np
import scipy
import scipy.stats
import sklearn
import torch
import torch.nn.functional as F
from sklearn.cross_decomposition import PLSRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

WIDTH = 6
rng = np.random.default_rng(20)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)


def plain(x):
    x = x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    return [float(f"{value:.9g}") for value in x.ravel()]


def case(embeddings, head, loss, outputs, **data):
    """`loss` and `outputs` from leaf tensors; gradients by autograd."""
    loss.backward()
    return {
        "texts": embeddings.shape[0],
        "embeddings": plain(embeddings),
        "head": [plain(parameter) for parameter in head],
        "loss": float(f"{loss.item():.9g}"),
        "outputs": plain(outputs),
        "embedding_gradient": plain(embeddings.grad),
        "head_gradients": [plain(parameter.grad) for parameter in head],
        **data,
    }


def leaf(x):
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def weights(count):
    return rng.integers(1, 8, count) / 4.0


def mean(losses, weight):
    weight = torch.tensor(weight)
    return (losses * weight).sum() / weight.sum()


def bce():
    user, text = [0, 0, 1, 2, 1, 0], [3, 1, 3, 0, 2, 4]
    label, weight = [1.0, 0.0, 1.0, 0.25, 0.0, 1.0], weights(6)
    x, table, scale, bias = leaf(normal(5, WIDTH)), leaf(normal(3, WIDTH)), leaf([7.5]), leaf([-0.75])
    z = scale * F.cosine_similarity(table[user], x[text]) + bias
    loss = mean(F.binary_cross_entropy_with_logits(z, torch.tensor(label, dtype=torch.float64), reduction="none"), weight)
    return case(x, [table, scale, bias], loss, z, user=user, text=text, label=label, weight=plain(weight))


def bpr():
    # Each user has all but one of four texts, which is therefore the one that is drawn.
    has = {0: [0, 1, 2], 1: [1, 2, 3]}
    user, text = [u for u in has for _ in has[u]], [t for u in has for t in has[u]]
    other = [({0, 1, 2, 3} - set(has[u])).pop() for u in user]
    weight = weights(6)
    x, table, scale = leaf(normal(4, WIDTH)), leaf(normal(2, WIDTH)), leaf([4.0])
    margin = scale * (F.cosine_similarity(table[user], x[text]) - F.cosine_similarity(table[user], x[other]))
    return case(x, [table, scale], mean(-F.logsigmoid(margin), weight), margin, user=user, text=text, weight=plain(weight))


def contrastive():
    # Texts 0 to 9. User 0 has 0 1 2 3, user 1 has 2 4 5, user 2 has 6 7 1.
    has = [[0, 1, 2, 3], [2, 4, 5], [6, 7, 1]]
    anchor, positive, negative = [0, 2, 5, 6, 3], [1, 4, 2, 7, 2], [8, None, 9, 0, 4]
    group, weight, temperature = [0, 1, 1, 2, 0], weights(5), 0.2
    x = leaf(normal(10, WIDTH))
    candidates = sorted(set(positive) | {n for n in negative if n is not None})
    rows = []
    for a, p, g in zip(anchor, positive, group):
        wrong = [c for c in candidates if c not in has[g] and c != a]
        scores = torch.stack([F.cosine_similarity(x[a], x[c], dim=0) for c in [p, *wrong]]) / temperature
        rows.append(F.cross_entropy(scores[None], torch.tensor([0])))
    masked = [[0.0 if c == p or (c not in has[g] and c != a) else -1e4 for c in candidates]
              for a, p, g in zip(anchor, positive, group)]
    n = F.normalize(x)
    logits = n[anchor] @ n[candidates].T / temperature + torch.tensor(masked)
    return case(x, [], mean(torch.stack(rows), weight), logits, has=has, anchor=anchor, positive=positive, negative=negative,
                group=group, weight=plain(weight), temperature=temperature)


def classification():
    text, label, weight = [0, 1, 2, 3, 1, 4, 5], [0, 1, 2, 1, 1, 0, 1], weights(7)
    batch = [0, 1, 2, 4, 6]
    counts = np.bincount(label)
    balanced = len(label) / (len(counts) * counts)
    x, w, b = leaf(normal(6, WIDTH)), leaf(normal(WIDTH, 3)), leaf(normal(3))
    logits = (F.normalize(x) @ w + b)[[text[i] for i in batch]]
    truth = torch.tensor([label[i] for i in batch])
    factor = np.array([weight[i] * balanced[label[i]] for i in batch])
    loss = mean(F.cross_entropy(logits, truth, reduction="none"), factor)
    data = case(x, [w, b], loss, logits, text=text, class_=label, weight=plain(weight), batch=batch)
    # The first classifier: a softmax over squared distances to the classes' means, each example counting its weight.
    n = F.normalize(x.detach())[text].numpy()
    means = np.stack([np.average(n[np.array(label) == c], axis=0, weights=weight[np.array(label) == c]) for c in range(3)])
    distances = ((n[:, None] - means[None]) ** 2).sum(-1)
    data["first"] = plain(scipy.special.softmax(-10.0 * distances, axis=1))
    return data


def regression():
    text, value, weight = [0, 1, 2, 3, 4, 5, 0], [10.0, 14.0, 9.0, 30.0, 21.0, 18.0, 11.0], weights(7)
    batch = [0, 2, 3, 6]
    average = np.average(value, weights=weight)
    deviation = np.sqrt(np.average((np.array(value) - average) ** 2, weights=weight))
    x, w, b = leaf(normal(6, WIDTH)), leaf(normal(WIDTH, 1)), leaf([0.5])
    prediction = (F.normalize(x) @ w + b)[:, 0][[text[i] for i in batch]]
    truth = torch.tensor([(value[i] - average) / deviation for i in batch])
    loss = mean((prediction - truth) ** 2, [weight[i] for i in batch])
    data = case(x, [w, b], loss, prediction, text=text, value=value, weight=plain(weight), batch=batch)
    data["scores"] = plain((F.normalize(x) @ w + b)[:, 0] * deviation + average)
    # The first layer, for weights of 1.
    n = F.normalize(x.detach())[text].numpy()
    data["first"] = plain(PLSRegression(n_components=1, scale=False).fit(n, value).predict(n))
    return data


def similarity():
    text, other, value, weight = [0, 1, 2, 3], [1, 2, 4, 0], [0.9, -0.5, 0.0, 1.0], weights(4)
    x = leaf(normal(5, WIDTH))
    cosine = F.cosine_similarity(x[text], x[other])
    loss = mean((cosine - torch.tensor(value, dtype=torch.float64)) ** 2, weight)
    return case(x, [], loss, cosine, text=text, other=other, value=value, weight=plain(weight))


def text_image(bias=None):
    # Pairs of a text and a picture; text 0 has two pictures, picture 2 two texts, and one pair stands twice.
    text, other, inputs, weight = [0, 1, 2, 0, 3, 1], [0, 1, 2, 3, 2, 1], [0, 1, 2, 3, 4, 1], weights(6)
    has = {(t, i) for t, i in zip(text, other)}
    x, scale = leaf(normal(5, WIDTH)), leaf([1.25])
    head = [scale] if bias is None else [scale, leaf([bias])]
    texts, images = (F.normalize(part, dim=1) for part in x[inputs].split(WIDTH // 2, dim=1))
    logits = scale.exp() * texts @ images.T + (0 if bias is None else head[1])
    count = len(text)
    counts = [[i == j or (text[i], other[j]) not in has for j in range(count)] for i in range(count)]
    losses = []
    for i in range(count):
        row = [j for j in range(count) if counts[i][j]]
        column = [j for j in range(count) if counts[j][i]]
        if bias is None:
            of_text = F.cross_entropy(logits[i, row][None], torch.tensor([row.index(i)]))
            of_image = F.cross_entropy(logits[column, i][None], torch.tensor([column.index(i)]))
            losses.append((of_text + of_image) / 2)
        else:
            losses.append(-sum(F.logsigmoid(logits[i, j] * (1 if i == j else -1)) for j in row))
    mask = torch.tensor([[0.0 if c else -1e4 for c in row] for row in counts], dtype=torch.float64)
    return case(x, head, mean(torch.stack(losses), weight), logits + mask, inputs=inputs, text=text, other=other,
                weight=plain(weight))


def text_image_sigmoid():
    return text_image(bias=-1.5)


def metrics():
    count = 60
    prediction = np.round(rng.standard_normal(count), 1)  # with ties
    truth, weight = rng.integers(0, 2, count), rng.integers(1, 9, count) / 4.0
    number = np.round(prediction + rng.standard_normal(count), 1)
    guess, label = rng.integers(0, 5, count), rng.integers(0, 4, count)  # a class that never occurs
    probability = scipy.special.expit(prediction)
    centered = (prediction - np.average(prediction, weights=weight), number - np.average(number, weights=weight))
    covariance = [np.average(a * b, weights=weight) for a in centered for b in centered]
    return {
        "prediction": plain(prediction), "truth": truth.tolist(), "weight": plain(weight), "number": plain(number),
        "guess": guess.tolist(), "label": label.tolist(),
        "auc": roc_auc_score(truth, prediction, sample_weight=weight),
        "log_loss": log_loss(truth, np.stack([1 - probability, probability], 1), sample_weight=weight),
        "spearman": scipy.stats.spearmanr(prediction, number).statistic,
        "pearson": covariance[1] / np.sqrt(covariance[0] * covariance[3]),
        "macro_f1": f1_score(label, guess, average="macro", sample_weight=weight, zero_division=0),
        "accuracy": accuracy_score(label, guess, sample_weight=weight),
    }


def distill():
    text = [0, 1, 2, 1, 4]
    x, teacher = leaf(normal(5, WIDTH)), normal(5, WIDTH)
    targets = torch.tensor(teacher, dtype=torch.float64)[text]
    loss = (1 - F.cosine_similarity(x[text], targets)).mean()
    return case(x, [], loss, F.normalize(x[text], dim=1), text=text, teacher=plain(teacher.ravel()), weight=[1.0] * len(text))


if __name__ == "__main__":
    made = {"versions": {"torch": torch.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__,
                         "scipy": scipy.__version__}, "width": WIDTH}
    for make in (bce, bpr, contrastive, classification, regression, similarity, metrics, text_image, text_image_sigmoid,
                 distill):
        made[make.__name__] = make()
    Path(__file__).with_name("objectives.json").write_text(json.dumps(made) + "\n")
