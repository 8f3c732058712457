"""UAI files: the format in which solvers of graphical models exchange problems.

Free atoms are variables of two states, blocks variables of a state an atom (and one for
none); rows over the same variables are one function. Format: UAI 2008-2014 evaluations,
preamble ``MARKOV`` (or ``BAYES``, whose tables are read alike), tables with the last variable
changing fastest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors.arrays import array, offsets_of, tensor
from knowreason.factors.condition import condition
from knowreason.factors.graph import (
    OPEN,
    Blocks,
    Clause,
    FactorGraph,
    FactorGroup,
    Table,
)
from knowreason.factors.scopes import Scopes, scopes
from knowreason.factors.stacks import FlatRows
from knowreason.factors.tables import row_tensor, state_digits
from knowreason.factors.variables import Variables

_MOST_ENTRIES = 1 << 20


@dataclass(frozen=True)
class _Function:
    scope: tuple[int, ...]
    logs: NDArray[np.float64]  # flattened, last variable fastest


def write_uai(graph: FactorGraph, path: Path | str) -> Variables:
    """Writes a graph, given its evidence, as a UAI file.

    Decided groundings enter as a constant factor of the first function, so the file's
    partition function is the graph's.

    Args:
        graph: at the ``theta`` it holds.
        path: where to.

    Returns:
        which atom each state of each variable is.

    Raises:
        InferenceError: a clause or count ties too many variables for one table, or an
            entry overflows (KR705).
    """
    text, variables = uai_text(graph)
    Path(path).write_text(text, encoding="utf-8")
    return variables


def read_uai(path: Path | str) -> FactorGraph:
    """Reads a UAI file; see :func:`parse_uai`."""
    return parse_uai(Path(path).read_text(encoding="utf-8"))


def uai_text(graph: FactorGraph) -> tuple[str, Variables]:
    """A graph as the text of a UAI file, and its variables; see :func:`write_uai`."""
    folded = condition(graph)
    chosen = array(folded.evidence) == OPEN
    ties = scopes(folded, np.where(chosen, 0, -1).astype(np.int32), chosen)
    functions = list(_functions(folded, ties))
    constant = folded.offset
    if folded.constant is not None:
        constant += float(array(folded.constant) @ array(folded.theta))
    if functions:
        functions[0] = _Function(functions[0].scope, functions[0].logs + constant)
    lines = ["MARKOV", str(ties.variables.count), _line(ties.variables.sizes), str(len(functions))]
    lines += [_line([len(function.scope), *function.scope]) for function in functions]
    for function in functions:
        with np.errstate(over="ignore"):
            entries = np.exp(function.logs)
        if not np.isfinite(entries).all():
            raise InferenceError("an entry of a table is too large for a file", code="KR705")
        lines += ["", str(len(entries)), _line(entries)]
    return "\n".join(lines) + "\n", ties.variables


def parse_uai(text: str) -> FactorGraph:
    """The graph of a UAI file.

    Variables of two states become atoms, others blocks of which exactly one atom is
    true. Every entry of a table is a conjunction with its logarithm as parameter
    (equal ones share it); entries of 0 are hard.

    Raises:
        InferenceError: the text is no network in UAI format (KR706).
    """
    sizes, functions = _parse(text.split())
    first = offsets_of(np.where(sizes == 2, 1, sizes))
    blocked = np.flatnonzero(sizes != 2)
    blocks = Blocks(
        torch.from_numpy(offsets_of(sizes[blocked])),
        torch.tensor(
            [a for v in blocked for a in range(first[v], first[v + 1])], dtype=torch.int32
        ),
        torch.zeros(len(blocked), dtype=torch.bool),
    )
    rows: dict[tuple[bool, ...], list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    for function in functions:
        for signs, atoms, logs in _conjunctions(function, sizes, first):
            rows.setdefault(signs, []).append((atoms, logs))
    stacked = {
        signs: (np.concatenate([a for a, _ in parts]), np.concatenate([v for _, v in parts]))
        for signs, parts in rows.items()
    }
    values = [logs[np.isfinite(logs)] for _, logs in stacked.values()]
    theta = np.unique(np.concatenate([np.zeros(1), *values]))
    groups = [
        group
        for signs, (atoms, logs) in stacked.items()
        for group in _groups(signs, atoms, logs, theta)
    ]
    n = int(first[-1])
    return FactorGraph(
        log_odds=torch.zeros(n),
        theta=torch.from_numpy(theta),
        evidence=torch.full((n,), OPEN, dtype=torch.int8),
        groups=tuple(groups),
        blocks=blocks,
    )


def _functions(graph: FactorGraph, ties: Scopes) -> Iterator[_Function]:
    variables = ties.variables
    unary = array(graph.unary_log_odds())
    for v in range(variables.count):
        atoms = variables.atom[variables.offsets[v] : variables.offsets[v + 1]]
        yield _Function((v,), np.where(atoms >= 0, unary[atoms], 0.0))
    weights = FlatRows.of(graph).weights(array(graph.theta))
    for group in ties.tables:
        for scope, logs in zip(group.scope.tolist(), group.energies(weights), strict=True):
            yield _Function(tuple(scope), logs)
    clauses, counts = ties.clauses, ties.counts
    for i, row in enumerate(clauses.row):
        entries = slice(clauses.offsets[i], clauses.offsets[i + 1])
        clause = Clause(tuple(clauses.signs[entries].tolist()))
        weight = np.inf if clauses.is_hard[i] else weights[row]
        yield _wide(variables, clauses.atoms[entries], clause, weight)
    for i in range(len(counts.lower)):
        entries = slice(counts.offsets[i], counts.offsets[i + 1])
        yield _count(ties, i, variables.of_atom[counts.atoms[entries]], entries)


def _wide(
    variables: Variables, atoms: NDArray[np.int64], clause: Clause, weight: float
) -> _Function:
    scope, places, shape = _scope(variables, variables.of_atom[atoms])
    truth = row_tensor(clause, places, variables.digit[atoms], shape)
    logs = np.where(truth > 0, 0.0, -np.inf) if np.isinf(weight) else weight * truth
    return _Function(scope, logs)


def _count(ties: Scopes, i: int, owner: NDArray[np.int64], entries: slice) -> _Function:
    counts, variables = ties.counts, ties.variables
    scope, places, shape = _scope(variables, owner)
    digits = variables.digit[counts.atoms[entries]]
    literal = (state_digits(shape)[places] == digits[:, None]) == counts.signs[entries][:, None]
    target = literal[-1] if counts.has_target[i] else np.ones(literal.shape[1], dtype=bool)
    number = literal[: len(literal) - counts.has_target[i]].sum(0)
    inside = (number >= counts.lower[i]) & (number <= counts.upper[i])
    return _Function(scope, np.where(inside == target, 0.0, -np.inf))


def _scope(
    variables: Variables, owner: NDArray[np.int64]
) -> tuple[tuple[int, ...], NDArray[np.int64], tuple[int, ...]]:
    found, places = np.unique(owner, return_inverse=True)
    shape = tuple(variables.sizes[found].tolist())
    if np.prod(shape, dtype=np.float64) > _MOST_ENTRIES:
        raise InferenceError(
            f"a clause or count over {len(found)} variables is too wide for one table",
            code="KR705",
        )
    return tuple(found.tolist()), places, shape


def _line(numbers: Sequence[float] | NDArray[np.float64] | NDArray[np.int64]) -> str:
    return " ".join(repr(x) for x in np.asarray(numbers).tolist())


def _parse(tokens: list[str]) -> tuple[NDArray[np.int64], list[_Function]]:
    try:
        if tokens[0].upper() not in ("MARKOV", "BAYES"):  # tables are read alike
            raise ValueError(f"the preamble is `{tokens[0]}`")
        count = int(tokens[1])
        sizes = np.array([int(t) for t in tokens[2 : 2 + count]], dtype=np.int64)
        place = 3 + count
        found: list[tuple[int, ...]] = []
        for _ in range(int(tokens[place - 1])):
            k = int(tokens[place])
            found.append(tuple(int(t) for t in tokens[place + 1 : place + 1 + k]))
            place += 1 + k
        functions = []
        for scope in found:
            size = int(tokens[place])
            if size != np.prod(sizes[list(scope)]) or place + size >= len(tokens):
                raise ValueError(f"the table over {scope} has {size} entries")
            with np.errstate(divide="ignore"):
                logs = np.log(np.array(tokens[place + 1 : place + 1 + size], dtype=np.float64))
            functions.append(_Function(scope, logs))
            place += 1 + size
    except (ValueError, IndexError) as error:
        raise InferenceError(f"not a network in UAI format: {error}", code="KR706") from None
    return sizes, functions


def _conjunctions(
    function: _Function, sizes: NDArray[np.int64], first: NDArray[np.int64]
) -> Iterator[tuple[tuple[bool, ...], NDArray[np.int64], NDArray[np.float64]]]:
    """Entries that are not 1 as conjunctions: signs, ``int64[m, k]`` atoms, logarithms."""
    scope = list(function.scope)
    digits = state_digits(tuple(sizes[scope].tolist()))
    binary = (sizes[scope] == 2)[:, None]
    atoms = (first[scope][:, None] + np.where(binary, 0, digits)).T
    positive = (~binary | (digits == 1)).T
    kept = np.flatnonzero(function.logs != 0)
    codes = (positive[kept] << np.arange(len(scope))).sum(1)
    for code in np.unique(codes):
        same = kept[codes == code]
        yield tuple(positive[same[0]].tolist()), atoms[same], function.logs[same]


def _groups(
    signs: tuple[bool, ...],
    atoms: NDArray[np.int64],
    logs: NDArray[np.float64],
    theta: NDArray[np.float64],
) -> Iterator[FactorGroup]:
    hard = np.isneginf(logs)
    if (~hard).any():
        values = torch.zeros(1 << len(signs))
        values[sum(sign << j for j, sign in enumerate(signs))] = 1.0
        parameter = tensor(np.searchsorted(theta, logs[~hard]), torch.int32)
        yield FactorGroup(tensor(atoms[~hard], torch.int32), Table(values), parameter)
    if hard.any():
        clause = Clause(tuple(not sign for sign in signs))
        yield FactorGroup(tensor(atoms[hard], torch.int32), clause, None)
