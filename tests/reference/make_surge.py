"""Writes surge.json: what SciPy and statsmodels make of counts of a week and of the weeks before.

    python make_surge.py

Made with Python 3.11, NumPy 2.4.6, SciPy 1.17.1 and statsmodels 0.15.0.
"""
import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import stats

random = np.random.default_rng(15)


def surge(counts, exposures):
    """The last row beside the others: expected, ratio and p-value."""
    y, e = np.array(counts[:-1], float), np.array(exposures[:-1], float)
    now, exposure = counts[-1], exposures[-1]
    freedom = len(y) - 1
    fit = sm.GLM(y, np.ones(len(y)), family=sm.families.Poisson(), exposure=e).fit()
    expected = float(np.exp(fit.params[0]) * exposure)
    phi = max(1.0, fit.pearson_chi2 / freedom)
    total, share = y.sum() + now, exposure / (e.sum() + exposure)
    chance = stats.binomtest(int(now), int(total), share, alternative="greater").pvalue
    deviance = 0.0
    for count, mean in ((now, total * share), (y.sum(), total * (1 - share))):
        family = sm.families.NegativeBinomial(alpha=(phi - 1) / mean) if phi > 1 else sm.families.Poisson()
        deviance += family.deviance(np.array([float(count)]), np.array([mean]))
    clumps = stats.t.sf(np.sign(now - expected) * np.sqrt(deviance), freedom)
    return [expected, now / expected, max(chance, float(clumps))]


if __name__ == "__main__":
    cases = []
    for rows, rate, phi, now in [(13, 3, 1, 12), (13, 20, 1, 31), (13, 20, 4, 75), (6, 2, 3, 9), (27, 150, 6, 260), (13, 8, 2, 5),
                                 (13, 8, 2, 0), (3, 5, 1, 40), (13, 20000, 1, 20500), (13, 0.4, 1, 4)]:
        exposures = random.integers(50, 200, rows)
        means = rate * exposures / 100
        means = random.gamma(means / (phi - 1), phi - 1) if phi > 1 else means
        counts = random.poisson(means).tolist()
        counts[-1] = now
        cases.append(dict(counts=counts, exposures=exposures.tolist(), found=surge(counts, exposures)))
    Path(__file__).with_name("surge.json").write_text(json.dumps(cases, default=float) + "\n")
    print([case["found"] for case in cases])
