"""What is to be learned from what, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.diagnostics import Diagnostic
from knowreason.errors import LearningError
from knowreason.factors import FALSE, OPEN, TRUE, FactorGraph, ParameterTable

if TYPE_CHECKING:
    from knowreason.inference.gcn.gcn_fitting import FittedGcn
    from knowreason.inference.gcn.instance_network import InstanceNetwork

LEARNED = "learned"
GIVEN = "given"
AT_BOUND = "at its bound: not supported by the data"
SAID_NOTHING = "the data said nothing"
BY_PRIOR = "set by the prior"
WITHOUT_ERROR = "trained: this method gives no standard error"
NOT_SETTLED = "not settled when training ended, or held by its bound: no standard error"
HELD = "held at its start: this method does not learn it"

Curve = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], csr_matrix]]
Record = dict[str, float]  # what an optimiser wrote down at one step


@dataclass(frozen=True)
class Problem:
    """A factor graph, its parameters and the labels to learn them from.

    Attributes:
        graph: labelled atoms are open in it; learners clamp them.
        parameters: names, priors and bounds of ``graph.theta``.
        labels: ``int8[n]``: ``-1`` unknown, else 0 or 1.
        latent_rules: ``bool[p]``, parameters of rules that hold a latent predicate: they
            are fitted from several starts. ``None`` for none.
        clusters: ``int64[n]``: atoms of one value share a cause that no rule speaks of, so
            their labels are not independent; the likelihood is divided by the design
            effect. ``None``: labels of different components are independent.
        curve: where the score of a world is not linear in the parameters: the further entries
            of ``graph.theta`` (``float64[c]``), and their slopes ``float64[c, p]``, at the
            parameters (``float64[p]``).

    Raises:
        LearningError: KR850 where lengths or values do not fit, KR851 where a label
            contradicts the evidence.

    Example:
        >>> from knowreason import ground
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> grounding = ground(data.program, data)
        >>> problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
        >>> problem.graph.atom_count, int((problem.labels != OPEN).sum())
        (352, 340)
    """

    graph: FactorGraph
    parameters: ParameterTable
    labels: NDArray[np.int8]
    latent_rules: NDArray[np.bool_] | None = None
    clusters: NDArray[np.int64] | None = None
    curve: Curve | None = None

    def __post_init__(self) -> None:
        n, p = self.graph.atom_count, self.graph.parameter_count
        counted = len(self.parameters) == p if self.curve is None else len(self.parameters) <= p
        if self.labels.shape != (n,) or not counted:
            raise LearningError(
                f"{n} atoms and {p} parameters in the graph, but {self.labels.shape[0]} labels "
                f"and {len(self.parameters)} rows in the parameter table",
                code="KR850",
            )
        if not np.isin(self.labels, (OPEN, FALSE, TRUE)).all():
            raise LearningError("labels are -1 (unknown), 0 or 1", code="KR850")
        evidence = self.graph.evidence.numpy()
        clash = (evidence != OPEN) & (self.labels != OPEN) & (evidence != self.labels)
        if clash.any():
            raise LearningError(
                f"{int(clash.sum())} labels contradict the evidence on the same atom, "
                f"first at atom {int(clash.argmax())}",
                code="KR851",
                help="drop the label or the evidence row",
            )

    @property
    def latent(self) -> NDArray[np.bool_]:
        """``bool[p]``: learned parameters of rules with a latent predicate."""
        if self.latent_rules is None:
            return np.zeros(len(self.parameters), dtype=np.bool_)
        return self.latent_rules & self.parameters.learned


@dataclass(frozen=True)
class EstimatorReport:
    """How many components, atoms and parameters one estimator served.

    Attributes:
        estimator: ``exact``, ``gcn``, ``gibbs``, ``bp``, ``pseudo_likelihood``, ``composite``
            or ``knowgraph``.
        components: connected components with labels.
        atoms: open atoms in them, labelled ones included.
        parameters: learned parameters that have a ground factor there.

    Example:
        >>> print(EstimatorReport("exact", components=12, atoms=40, parameters=3))
        exact: 12 components (40 atoms, 3 parameters)
    """

    estimator: str
    components: int
    atoms: int
    parameters: int

    def __str__(self) -> str:
        count = "1 component" if self.components == 1 else f"{self.components:,} components"
        return f"{self.estimator}: {count} ({self.atoms:,} atoms, {self.parameters} parameters)"


@dataclass(frozen=True)
class Fit:
    """Learned parameters, how sure they are, and how they came about.

    Attributes:
        theta: ``float64[p]``.
        standard_errors: ``float64[p]``: standard deviation of the posterior of each
            parameter under its prior (Laplace); 0 where given, NaN where there is none to
            give. Above 0 and finite wherever the status is ``learned``.
        status: one of ``learned``, ``given``, ``at its bound: not supported by the data``,
            ``the data said nothing``, ``set by the prior``; of a method without errors
            ``trained: ...``, ``not settled ...`` and ``held at its start: ...``.
        objective: log likelihood (or its stand-in) plus log prior at ``theta``.
        log_likelihood: without the prior.
        iterations: steps of the optimiser, rounds where worlds were sampled.
        converged: whether the projected gradient is within tolerance.
        history: one record a step: ``step``, ``objective``, ``gradient`` ...
        parameters: what was asked.
        covariance: ``float64[p, p]``.
        spread: ``float64[p]``: greatest less smallest value over the starts.
        notes: what the user should know.
        design_effect: what the log likelihood was divided by; 1 where labels count as
            independent.
        clusters: of labels that were allowed to depend on each other, 0 for none.
        estimators: which estimator served which components; empty where nothing was estimated.
        findings: what labels leave open, with what to do.
        gcn: the GCN posterior that was fitted to the program, and its error.
        knowgraph: the network that method ``knowgraph`` has trained, for the engine of its name.

    Example:
        >>> from knowreason import Reasoner
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> fit = Reasoner(data.program).fit(data).fit_
        >>> fit.parameters.names[0], fit.status[0], fit.converged
        ('bias Bad', 'learned', True)
    """

    theta: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    status: tuple[str, ...]
    objective: float
    log_likelihood: float
    iterations: int
    converged: bool
    history: tuple[Record, ...]
    parameters: ParameterTable
    covariance: NDArray[np.float64]
    spread: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    design_effect: float = 1.0
    clusters: int = 0
    estimators: tuple[EstimatorReport, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    gcn: FittedGcn | None = None
    knowgraph: InstanceNetwork | None = None

    def __repr__(self) -> str:
        end = f"{'' if self.converged else 'not '}converged in {self.iterations:,} steps"
        return f"Fit({len(self.theta):,} parameters, {end}, objective {self.objective:,.2f})"


def clamped_evidence(problem: Problem) -> NDArray[np.int8]:
    """``int8[n]``: evidence and labels, with the zeros a true atom implies in its block.

    Raises:
        LearningError: KR852 where labels make two atoms of a block true, or all atoms of
            an exactly-one block false.
    """
    evidence = problem.graph.evidence.numpy()
    clamped = np.where(problem.labels != OPEN, problem.labels, evidence).astype(np.int8)
    blocks = problem.graph.blocks
    if blocks.count == 0:
        return clamped
    atoms = blocks.atoms.numpy().astype(np.int64)
    sizes = np.diff(blocks.offsets.numpy())
    owner = np.repeat(np.arange(blocks.count), sizes)
    true = np.bincount(owner, clamped[atoms] == TRUE, minlength=blocks.count)
    false = np.bincount(owner, clamped[atoms] == FALSE, minlength=blocks.count)
    wrong = (true > 1) | ((false == sizes) & ~blocks.at_most_one.numpy() & (sizes > 0))
    if wrong.any():
        first = atoms[owner == wrong.argmax()]
        raise LearningError(
            f"labels of {int(wrong.sum())} functional settings are impossible (two values true, "
            f"or none): first the one of atoms {first.min()} to {first.max()}",
            code="KR852",
        )
    implied = (true[owner] == 1) & (clamped[atoms] == OPEN)
    clamped[atoms[implied]] = FALSE
    return clamped
