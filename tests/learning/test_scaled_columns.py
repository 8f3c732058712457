"""The unit of a numeric feature changes nothing but the unit of its weight."""

import numpy as np
import pytest

from knowreason import Dataset, ground, loads
from knowreason.learning import Problem, bootstrap, learn
from knowreason.learning.scaled_columns import column_scales

ALONE = """domain P
query S(P)
observed Old(P)
attribute amount(P): float
rule noisy [? * amount(x)] : S(x)
rule old [?] : Old(x) => S(x)
"""
LINKED = """domain P
query S(P)
observed F(P, P)
attribute amount(P): float
rule noisy [? * amount(x)] : S(x)
rule link [? * amount(x)] : F(x, y) & S(x) => S(y)
"""


def problem(source, unit, people=60, hidden=0.3):
    program = loads(source)
    rng = np.random.default_rng(4)
    names = [f"p{i}" for i in range(people)]
    amount = rng.normal(0.4, 1.0, people)
    known = rng.random(people) >= hidden
    label = (rng.random(people) < 1 / (1 + np.exp(-amount))).astype(int)
    facts = {"amount": {"p": names, "value": amount * unit}}
    if "Old" in source:
        facts["Old"] = {"p": names[::3]}
    else:
        ends = rng.integers(people, size=(2, 2 * people))
        facts["F"] = {"a": [names[i] for i in ends[0]], "b": [names[i] for i in ends[1]]}
    rows = np.flatnonzero(known)
    labels = {"S": {"p": [names[i] for i in rows], "label": label[rows]}}
    data = Dataset.from_frames(program, facts=facts, labels=labels, things={"P": {"p": names}})
    grounding = ground(program, data)
    return Problem(grounding.graph, grounding.parameters, grounding.labels)


def units(problem, unit):
    """``float64[p]``: 1, and the unit for weights of the feature."""
    numeric = np.isin(problem.parameters.names, ("noisy", "link"))

    return np.where(numeric, unit, 1.0)


@pytest.mark.parametrize("unit", [1e-6, 1e4, 1e6])
@pytest.mark.parametrize("method", ["variational_em", "pseudo_likelihood"])
@pytest.mark.parametrize("source", [ALONE, LINKED])
def test_the_unit_of_a_feature_changes_nothing_else(source, method, unit):
    usual, other = problem(source, 1.0), problem(source, unit)
    one, two = learn(usual, method), learn(other, method)
    by = units(usual, unit)
    for mine, theirs in [
        (one.theta, two.theta * by),
        (one.standard_errors, two.standard_errors * by),
        (one.covariance, two.covariance * np.outer(by, by)),
        (usual.parameters.prior_sd, other.parameters.prior_sd * by),
    ]:
        np.testing.assert_allclose(theirs, mine, rtol=1e-3, atol=1e-4)
    assert one.status == two.status
    assert one.objective == pytest.approx(two.objective, abs=1e-3)
    assert two.parameters is other.parameters
    drawn = [bootstrap(p, f, replicates=30).upper for p, f in [(usual, one), (other, two)]]
    np.testing.assert_allclose(drawn[1] * by, drawn[0], rtol=1e-2, atol=1e-3)


def test_standard_errors_of_a_large_feature_are_the_inverse_curvature():
    """Logistic regression: the information is known in closed form."""
    unit = 1e6
    found = problem(ALONE, unit, hidden=0.0)
    fit = learn(found)
    rows = {name: np.zeros(found.graph.atom_count) for name in found.parameters.names}
    for part in found.graph.units:
        for atom, parameter, value in zip(
            part.entry_atoms, part.parameters(), part.values(), strict=True
        ):
            rows[found.parameters.names[parameter]][atom] = value
    design = np.stack([rows[name] for name in found.parameters.names], axis=1)
    p = 1 / (1 + np.exp(-design @ fit.theta))
    information = design.T @ (design * (p * (1 - p))[:, None])
    information += np.diag(found.parameters.prior_sd**-2.0)
    scale = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(inverse)), rtol=1e-3)


def test_scales_are_root_mean_squares_of_what_is_learned():
    found = problem(ALONE, 10.0)
    names = found.parameters.names
    scale = dict(zip(names, column_scales(found), strict=True))
    (noisy,) = [part for part in found.graph.units if part.rule == 0]
    assert scale["noisy"] == pytest.approx(np.sqrt(np.mean(noisy.values() ** 2)))
    assert scale["old"] == scale["bias S"] == 1


@pytest.mark.parametrize(
    ("weight", "mean", "sd"),
    [
        ("?", 0.0, 2.0 / 3),
        ("? >= 0", 2.0 / 3, 2.0 / 3),
        ("? 1.5", 1.5, 1.5),
        ("? 0.1", 0.1, 2.0 / 3),
        ("? -9", -9.0, 2.0),
        ("1.5", 1.5, 2.0),
    ],
)
def test_priors_are_stated_per_standard_deviation_of_the_feature(weight, mean, sd):
    program = loads(
        "domain P\nquery S(P)\nattribute amount(P): float\n"
        f"rule noisy [{weight} * amount(x)] : S(x)\n"
    )
    frame = {"p": ["a", "b"], "value": [3.0, -3.0]}
    table = ground(program, Dataset.from_frames(program, facts={"amount": frame})).parameters
    assert (table.prior_mean[0], table.start[0]) == pytest.approx((mean, mean))
    assert table.prior_sd[0] == pytest.approx(sd)


def test_a_share_of_neighbours_has_the_prior_of_a_rule_without_a_feature():
    program = loads(
        "domain P\nquery S(P)\nobserved F(P, P)\ndefine n(x) := count { y : F(x, y) }\n"
        "rule like [? * 1 / n(x)] : F(x, y) => (S(x) <=> S(y))\n"
    )
    ring = [f"p{i}" for i in range(6)]
    ends = {"a": ring * 2, "b": ring[1:] + ring[:1] + ring[-1:] + ring[:-1]}
    table = ground(program, Dataset.from_frames(program, facts={"F": ends})).parameters
    assert table.prior_sd[0] == pytest.approx(2.0)
