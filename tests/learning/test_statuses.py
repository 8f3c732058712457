"""What a fit says of each parameter: never `learned` without an error, nor on a bound."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.learning import Problem, learn, weight_lines
from knowreason.learning.estimators.exact_likelihood import exact_likelihood
from knowreason.learning.fit import NOTHING, PRIOR, Solution, prior_fit, summarise
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Objective
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import AT_BOUND, BY_PRIOR, GIVEN, LEARNED, SAID_NOTHING
from knowreason.testing.oracle import enumerate_worlds
from tests.known_weights import instances, people
from tests.learning.test_likelihood import flat_table
from tests.strategies import random_graph


def world(p):
    """A problem of ``p`` atoms with one unit feature each, nothing labelled."""
    graph = replace(
        random_graph(0, atoms=2, parameters=p),
        factors=(),
        theta=torch.zeros(p, dtype=torch.float64), constant=None,
    )  # fmt: skip
    return Problem(graph, flat_table(p), np.full(graph.atom_count, -1, np.int8))


def summary(problem, eta, information, gradient=None, **changes):
    free = int(problem.parameters.learned.sum())
    solution = Solution(
        eta=np.asarray(eta, float),
        objective=-3.0,
        log_likelihood=-2.0,
        gradient=np.zeros(free) if gradient is None else np.asarray(gradient, float),
        information=np.asarray(information, float),
        iterations=7,
        converged=True,
        **changes,
    )
    return summarise(problem, [solution])


@pytest.mark.parametrize(
    ("left", "status"),
    [(0.1, LEARNED), (0.69, LEARNED), (0.71, BY_PRIOR), (0.89, BY_PRIOR), (0.91, SAID_NOTHING)],
)
@pytest.mark.parametrize("scale", [False, True])
def test_status_by_what_is_left_of_the_prior(left, status, scale):
    assert (PRIOR, NOTHING) == (0.7, 0.9)
    problem = world(2)
    table = replace(problem.parameters, log_normal=np.array([scale, False]), start=np.ones(2))
    problem = replace(problem, parameters=table)
    eta = np.array([0.4, 0.0])
    fit = summary(problem, eta, np.diag([1 / (2 * left) ** 2, 1.0]))
    assert fit.status[0] == status
    value = np.exp(0.4) if scale else 0.4
    assert fit.theta[0] == pytest.approx(value)
    assert fit.standard_errors[0] == pytest.approx(2 * left * (value if scale else 1.0))
    assert (fit.objective, fit.log_likelihood, fit.iterations) == (-3.0, -2.0, 7)
    assert fit.spread.tolist() == [0, 0]


def bounded(lower, upper=np.inf):
    problem = world(2)
    table = replace(
        problem.parameters, lower=np.array([lower, -np.inf]), upper=np.array([upper, np.inf])
    )
    return replace(problem, parameters=table)


def test_pushed_against_a_bound():
    low = summary(bounded(0.0), [0.0, 1.0], np.diag([4.0, 9.0]), [-20.0, 0.0])
    assert low.status == (AT_BOUND, LEARNED)
    assert low.standard_errors[0] == pytest.approx(1 / 20, rel=0.05)
    assert low.standard_errors[1] == pytest.approx(1 / 3)
    assert low.covariance[0, 1] == 0
    high = summary(bounded(-1.0, 0.0), [0.0, 1.0], np.diag([4.0, 9.0]), [20.0, 0.0])
    assert high.status[0] == AT_BOUND
    inside = summary(bounded(0.0), [0.1, 1.0], np.diag([4.0, 9.0]), [-20.0, 0.0])
    assert inside.status[0] == LEARNED


def test_pulled_away_from_a_bound_is_not_at_it():
    fit = summary(bounded(0.0), [0.0, 1.0], np.diag([0.26, 9.0]), [20.0, 0.0])
    assert fit.status[0] == SAID_NOTHING


def test_a_bound_that_is_correlated_stands_alone():
    information = np.array([[4.0, 3.0], [3.0, 9.0]])
    fit = summary(bounded(0.0), [0.0, 1.0], information, [-20.0, 0.0])
    assert fit.standard_errors[1] == pytest.approx(1 / 3)
    free = summary(bounded(-1.0), [0.0, 1.0], information)
    assert free.standard_errors == pytest.approx(np.sqrt(np.diag(np.linalg.inv(information))))


def test_at_rest_on_a_bound_though_sampling_is_not_sure():
    """Rounds that all end at 0 with a small error are pushed there: not `learned`, 0.00."""
    told, untold = np.diag([0.01, 0.01]), np.diag([3.9, 0.01])
    problem = bounded(0.0)
    fit = summary(problem, [0.0, 1.0], np.eye(2), [-2.0, 0], covariance=told)
    assert fit.status == (AT_BOUND, LEARNED)
    for status, covariance in ((AT_BOUND, told), (SAID_NOTHING, untold)):
        solution = Solution(
            np.array([0.0, 1.0]), 0.0, 0.0, np.array([-2.0, 0]), np.eye(2), 1, False,
            covariance=covariance, drawn=True,
        )  # fmt: skip
        fit = summarise(problem, [solution])
        assert fit.status == (status, LEARNED)
        assert fit.standard_errors[0] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)


def test_a_flat_prior_and_flat_data_leave_no_error():
    problem = world(2)
    table = replace(problem.parameters, prior_sd=np.array([np.inf, 2.0]))
    fit = summary(replace(problem, parameters=table), [0.0, 1.0], np.diag([0.0, 9.0]))
    assert fit.status == (SAID_NOTHING, LEARNED)
    assert np.isnan(fit.standard_errors[0])
    assert fit.standard_errors[1] == pytest.approx(1 / 3)
    first, second = weight_lines(fit)
    assert first == "w0: unknown → 0.00 (the data said nothing)"
    assert second == "w1: 0.00 ± 2.00 → 1.00 ± 0.33 (learned)"


def test_lines_say_scales_by_their_factor():
    problem = world(2)
    table = replace(
        problem.parameters,
        log_normal=np.array([True, False]),
        learned=np.array([True, False]),
        prior_mean=np.array([0.1, 0.0]),
        start=np.array([1.0, 0.25]),
    )
    fit = summary(replace(problem, parameters=table), [0.5], [[100.0]])
    assert weight_lines(fit) == ("w0: 1.11 ×÷ 7.39 → 1.65 ± 0.16 (learned)", "w1: 0.25 (given)")


def test_without_labels_the_prior_is_all_there_is():
    problem = world(3)
    table = replace(
        problem.parameters,
        learned=np.array([True, False, True]),
        log_normal=np.array([False, False, True]),
        start=np.array([0.0, 0.7, 3.0]),
    )
    fit = prior_fit(replace(problem, parameters=table), "why")
    assert fit.status == (BY_PRIOR, GIVEN, BY_PRIOR)
    assert fit.standard_errors.tolist() == [2.0, 0.0, 6.0]
    assert np.diag(fit.covariance).tolist() == [4.0, 0.0, 36.0]
    assert fit.notes == ("why",)
    assert fit.estimators == ()
    flat = replace(table, prior_sd=np.array([np.inf, 2.0, 2.0]))
    fit = prior_fit(replace(problem, parameters=flat), "why")
    assert fit.status == (SAID_NOTHING, GIVEN, BY_PRIOR)
    assert np.isnan(fit.standard_errors).tolist() == [True, False, False]


def test_the_best_start_is_kept_and_the_spread_is_that_of_all():
    problem = replace(world(2), latent_rules=np.array([True, False]))
    nothing = np.zeros(2)
    one = Solution(np.array([1.0, 0.0]), -9.0, -9.0, nothing, 4 * np.eye(2), 1, True)
    two = replace(one, eta=np.array([1.5, 0.2]), objective=-2.0)
    fit = summarise(problem, [one, two])
    assert fit.theta.tolist() == [1.5, 0.2]
    assert fit.spread == pytest.approx([0.5, 0.2])
    assert fit.notes[-1] == (
        "2 starts for rules with a latent predicate: `w0` differs by 0.5 between them"
    )
    ranked = summarise(problem, [replace(one, rank=3.0), replace(two, rank=1.0)])
    assert ranked.theta.tolist() == [1.0, 0.0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    method=st.sampled_from(["variational_em", "pseudo_likelihood", "knowgraph"]),
    share=st.sampled_from([0.1, 0.4, 1.0]),
    flat=st.booleans(),
)
def test_nothing_is_learned_without_an_error(seed, method, share, flat):
    graph = random_graph(seed, atoms=7, parameters=4, blocks=seed % 2)
    everything = enumerate_worlds(graph)
    rng = np.random.default_rng(seed)
    truth = everything.worlds[rng.integers(len(everything.worlds))].numpy()
    labels = np.where(rng.random(7) < share, truth[:7], -1)
    labels = np.append(labels, np.full(graph.atom_count - 7, -1))
    labels[graph.auxiliary.numpy()] = -1
    table = flat_table(
        4,
        start=np.array([2.0, 1.0, 0.0, 0.0]),
        prior_mean=np.array([2.0, 0.0, 0.0, 0.0]),
        prior_sd=np.array([1.5, 0.5, 2.0, np.inf if flat else 2.0]),
        lower=np.array([0.0, 0.0, -np.inf, -np.inf]),
        log_normal=np.array([False, True, False, False]),
    )
    options = {"epochs": 1} if method == "knowgraph" else {}
    if method == "pseudo_likelihood":
        options = {"rounds": 9, "max_rounds": 9, "warm_up": 5, "sweeps": 2}
    fit = learn(Problem(graph, table, labels.astype(np.int8)), method, **options)
    for index, status in enumerate(fit.status):
        error = fit.standard_errors[index]
        if status == LEARNED:
            assert 0 < error < np.inf
            assert fit.theta[index] > table.lower[index]
        if status in (AT_BOUND, BY_PRIOR):
            assert 0 < error < np.inf
        if np.isfinite(error) and status == LEARNED:
            assert f"± {error:.2f}" in weight_lines(fit)[index]


@pytest.mark.parametrize("hidden", [0.0, 0.4])
def test_errors_are_the_inverse_of_the_numerical_hessian(hidden):
    """Of a weight, a bias and a scale, by second differences of the objective's value."""
    problem = instances(400, seed=9).hide(hidden, 9)
    fit = learn(problem, "likelihood", tolerance=1e-6)
    coordinates = Coordinates.of(problem.parameters)
    objective = Objective(coordinates, (exact_likelihood(labelled_components(problem)),))
    eta, step = coordinates.eta(fit.theta), 1e-2
    size = len(eta)
    hessian = np.zeros((size, size))
    moves = step * np.eye(size)
    for i in range(size):
        for j in range(i + 1):
            corners = [
                a * b * objective(eta + a * moves[i] + b * moves[j])[0]
                for a in (1, -1)
                for b in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * step**2)
    slope = coordinates.slope(eta)
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian))) * slope
    assert fit.standard_errors == pytest.approx(errors, rel=2e-3)


def test_a_weight_the_worlds_contradict_is_not_learned_as_zero():
    """Whoever smokes is well: `harm` ends on its bound, hidden labels or not."""
    drawn = people(150, seed=0, sweeps=30)
    truth = drawn.world.copy()
    truth[150:] = 1 - truth[:150]
    problem = replace(drawn, world=truth).hide(0.5, 0)
    fit = learn(problem, "pseudo_likelihood", rounds=20, max_rounds=20, free_draws=50)
    assert fit.theta[0] == 0.0
    assert fit.status[0] == AT_BOUND
