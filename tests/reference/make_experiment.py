"""Writes experiment.json: what SciPy, statsmodels and the Open Bandit Pipeline (obp) make of an experiment, of a log and of
the sample of the Open Bandit data set that comes with obp. Of the sample only results are written, no rows.

    python make_experiment.py

Made with Python 3.11, NumPy 2.4.6, SciPy 1.17.1, statsmodels 0.15.0, pandas 3.1.1 and obp 0.4.1.
"""
import json
from pathlib import Path

import numpy as np
import obp
import pandas as pd
import statsmodels.api as sm
from obp.ope import (DirectMethod, DoublyRobust, InverseProbabilityWeighting as IPW,
                     SelfNormalizedInverseProbabilityWeighting as SNIPW)
from scipy import integrate, optimize, stats

ALPHA, PLANNED, CLIP = 0.05, 1000, 4.0
random = np.random.default_rng(14)


def mixture(comparison, n0, n1):
    """One over the Bayes factor of effects with a normal prior, by numerical integration, and where it reaches alpha."""
    double = -2 * np.log(ALPHA)
    variance = 4 * (double + np.log(1 + double)) / PLANNED
    users = n0 * n1 / (n0 + n1)
    difference, error, df = comparison

    def p(value):
        t = (value - difference) / error
        # The mixture of t with a normal non-centrality is t stretched: both densities by integration over the variance.
        def likelihood(s, scale):
            # t given a variance estimate of s times the true one, and the density of s.
            return stats.norm.pdf(t * np.sqrt(s), scale=scale) * np.sqrt(s) * df * stats.chi2.pdf(s * df, df)
        above, below = (integrate.quad(likelihood, 0, 6, args=(scale,), epsabs=0, epsrel=1e-12, limit=500)[0]
                        for scale in (np.sqrt(1 + users * variance), 1.0))
        return min(1.0, below / above)

    end = [optimize.brentq(lambda value: p(value) - ALPHA, difference, difference + sign * 12 * error, xtol=1e-13)
           for sign in (-1, 1)]
    return [difference, *end, p(0.0)]


def estimates(y, group, shared=0.0):
    """Welch's test, the lift by the delta method, and the mixture, of each variant beside the control."""
    found = {}
    control = y[group == "control"]
    for name in ("large", "small"):
        treated = y[group == name]
        test = stats.ttest_ind(treated, control, equal_var=False)
        low, high = test.confidence_interval(1 - ALPHA)
        difference = treated.mean() - control.mean()
        ratio = treated.mean() / control.mean()
        parts = treated.var(ddof=1) / len(treated), control.var(ddof=1) / len(control)
        error = np.sqrt(parts[0] + ratio**2 * parts[1] + (1 - ratio)**2 * shared) / control.mean()
        quantile = stats.t.ppf(1 - ALPHA / 2, test.df)
        found[name] = dict(
            difference=[difference, low, high, test.pvalue],
            lift=[ratio - 1, ratio - 1 - quantile * error, ratio - 1 + quantile * error,
                  2 * stats.t.sf(abs(ratio - 1) / error, test.df)],
            sequential=mixture((difference, np.sqrt(sum(parts)), test.df), len(control), len(treated)),
            variance=float(sum(parts)),
        )
    return found


def experiment():
    sizes = {"control": 45, "small": 38, "large": 61}
    group = np.repeat(list(sizes), list(sizes.values()))
    before = random.gamma(2.0, 3.0, len(group)).round(3)
    known = random.random(len(group)) < 0.8
    effect = np.select([group == "small", group == "large"], [0.4, 1.6])
    outcome = (4 + 0.7 * before + effect + random.normal(0, 1.5, len(group)) * (1 + (group == "large"))).round(3)
    # Unknown is average; the slope is that of a regression with an intercept for each group.
    x = np.where(known, before - before[known].mean(), 0.0)
    dummies = np.column_stack([group == name for name in sizes]).astype(float)
    fit = sm.OLS(outcome, np.column_stack([dummies, x])).fit()
    theta = fit.params[-1]
    adjusted, shared = outcome - theta * x, np.var(theta * x, ddof=1) / len(x)
    plain, cuped = estimates(outcome, group), estimates(adjusted, group, shared)
    for name, place in (("small", 1), ("large", 2)):
        assert np.isclose(cuped[name]["difference"][0], fit.params[place] - fit.params[0], rtol=1e-12)
        cuped[name]["variance_reduction"] = 1 - cuped[name]["variance"] / plain[name]["variance"]
    shares = np.array([2, 1, 2]) / 5
    test = stats.chisquare(list(sizes.values()), shares * len(group))
    return dict(variant=group.tolist(), outcome=outcome.tolist(), before=[b if k else None for b, k in zip(before, known)],
                weights="control:2,small:1,large:2", plain=plain, cuped=cuped,
                sample_ratio=[test.statistic, test.pvalue])


def interval(values, over, user):
    """The ratio of sums with its interval, rows of a user together: a regression on one constant."""
    keep = over > 0
    fit = sm.WLS((values / np.where(keep, over, 1))[keep], np.ones(keep.sum()), weights=over[keep])
    fit = fit.fit(cov_type="cluster", cov_kwds=dict(groups=user[keep], use_correction=True), use_t=True)
    # statsmodels counts the users that are left; all of them are in the sums.
    groups, all_users = len(np.unique(user[keep])), len(np.unique(user))
    error = fit.bse[0] * np.sqrt((groups - 1) / groups * all_users / (all_users - 1))
    width = stats.t.ppf(1 - ALPHA / 2, all_users - 1) * error
    return [fit.params[0], fit.params[0] - width, fit.params[0] + width]


def log():
    rows, actions = 240, 4
    user = np.sort(random.integers(0, 60, rows))
    behaviour = random.dirichlet(np.ones(actions), rows).round(4) * 0.92 + 0.02
    target = random.dirichlet(np.full(actions, 0.7), rows).round(4)
    behaviour /= behaviour.sum(axis=1, keepdims=True)
    target /= target.sum(axis=1, keepdims=True)
    truth = random.random((rows, actions)) * 0.6
    action = np.array([random.choice(actions, p=p) for p in behaviour])
    here = np.arange(rows)
    label = (random.random(rows) < truth[here, action]).astype(float)
    model = np.clip(truth + random.normal(0, 0.1, truth.shape), 0, 1).round(4)
    given = dict(reward=label, action=action, pscore=behaviour[here, action], action_dist=target[:, :, None])
    predicted = model[:, :, None]
    w = target[here, action] / behaviour[here, action]
    one = np.ones(rows)
    by_model = (target * model).sum(axis=1)
    found = dict(
        ips=interval(w * label, one, user), clipped_ips=interval(np.minimum(w, CLIP) * label, one, user),
        snips=interval(w * label, w, user), direct=interval(by_model, one, user),
        doubly_robust=interval(by_model + w * (label - model[here, action]), one, user),
        logged=interval(label, one, user), mean_weight=interval(w, one, user),
    )
    obp_says = dict(ips=IPW().estimate_policy_value(**given), snips=SNIPW().estimate_policy_value(**given),
                    direct=DirectMethod().estimate_policy_value(action_dist=target[:, :, None],
                                                                estimated_rewards_by_reg_model=predicted),
                    doubly_robust=DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=predicted))
    return dict(user_id=user.tolist(), propensity=behaviour[here, action].tolist(), target=target[here, action].tolist(),
                label=label.tolist(), predicted=model[here, action].tolist(), predicted_target=by_model.tolist(), found=found,
                obp=obp_says, effective_rows=w.sum()**2 / (w * w).sum(), clipped=(w > CLIP).mean())


def open_bandit():
    """The uniform policy from the log of Bernoulli Thompson sampling, with each item's share of clicks as the model."""
    folder = Path(obp.__file__).parent / "dataset/obd"
    log, uniform = (pd.read_csv(folder / policy / "all/all.csv") for policy in ("bts", "random"))
    actions = 80
    clicks = log.groupby("item_id")["click"].mean().reindex(range(actions), fill_value=0.0).to_numpy()
    given = dict(reward=log["click"].to_numpy(), action=log["item_id"].to_numpy(), pscore=log["propensity_score"].to_numpy(),
                 action_dist=np.full((len(log), actions, 1), 1 / actions))
    predicted = np.broadcast_to(clicks[None, :, None], (len(log), actions, 1))
    return dict(
        logged=log["click"].mean(), uniform=uniform["click"].mean(), rows=len(log),
        ips=IPW().estimate_policy_value(**given), snips=SNIPW().estimate_policy_value(**given),
        direct=DirectMethod().estimate_policy_value(action_dist=given["action_dist"],
                                                    estimated_rewards_by_reg_model=predicted),
        doubly_robust=DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=predicted))


if __name__ == "__main__":
    found = dict(alpha=ALPHA, planned_users=PLANNED, clip=CLIP, experiment=experiment(), log=log(), open_bandit=open_bandit())
    path = Path(__file__).parent / "experiment.json"
    path.write_text(json.dumps(found, default=float) + "\n")
    print(json.dumps({key: found[key] for key in ("open_bandit",)}, default=float), found["experiment"]["plain"],
          found["log"]["found"], found["log"]["obp"])
