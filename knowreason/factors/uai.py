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
from knowreason.factors.components.component_variables import Variables
from knowreason.factors.components.scope_tables import state_digits
from knowreason.factors.components.scopes import IntervalRows, Scopes, scopes
from knowreason.factors.components.shapes import FlatRows
from knowreason.factors.condition import condition
from knowreason.factors.factor_graph import OPEN, Blocks, FactorGraph
from knowreason.factors.ground_factors import TABLE, GroundFactors

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
    true. A function of variables of two states is a table of its logarithms, and one that
    holds entries of 0 also a hard table; other functions are a conjunction an entry. There
    is one parameter, 1.

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
    n = int(first[-1])
    return FactorGraph(
        log_odds=torch.zeros(n),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((n,), OPEN, dtype=torch.int8),
        factors=tuple(_ground_factors(functions, sizes, first)),
        blocks=blocks,
        offset=float(sum(function.logs[0] for function in functions if not function.scope)),
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
    for rows in (ties.clauses, ties.counts):
        for i in range(len(rows.lower)):
            weight = np.inf if rows.is_hard[i] else weights[rows.row[i]]
            yield _interval(variables, rows, i, float(weight))


def _interval(variables: Variables, rows: IntervalRows, i: int, weight: float) -> _Function:
    entries = slice(rows.offsets[i], rows.offsets[i + 1])
    atoms, signs = rows.atoms[entries], rows.signs[entries]
    scope, places, shape = _scope(variables, variables.of_atom[atoms])
    digits = variables.digit[atoms]
    literal = (state_digits(shape)[places] == digits[:, None]) == signs[:, None]
    target = literal[-1] if rows.has_target[i] else np.ones(literal.shape[1], dtype=bool)
    number = literal[: len(literal) - rows.has_target[i]].sum(0)
    holds = ((number >= rows.lower[i]) & (number <= rows.upper[i])) == target
    return _Function(scope, np.where(holds, 0.0 if np.isinf(weight) else weight,
                                     -np.inf if np.isinf(weight) else 0.0))  # fmt: skip


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


def _ground_factors(
    functions: list[_Function], sizes: NDArray[np.int64], first: NDArray[np.int64]
) -> Iterator[GroundFactors]:
    """Functions of atoms by arity; the others as conjunctions."""
    of_atoms: dict[int, list[_Function]] = {}
    for function in functions:
        if not function.scope:
            continue
        if (sizes[list(function.scope)] == 2).all():
            of_atoms.setdefault(len(function.scope), []).append(function)
        else:
            yield from _conjunctions(function, sizes, first)
    for k, alike in of_atoms.items():
        atoms = tensor(first[np.array([function.scope for function in alike])], torch.int32)
        cube = np.stack([function.logs for function in alike]).reshape(-1, *(2,) * k)
        logs = cube.transpose(0, *range(k, 0, -1)).reshape(len(alike), -1)
        yield from _tables(atoms, np.ascontiguousarray(logs))


def _tables(atoms: torch.Tensor, logs: NDArray[np.float64]) -> Iterator[GroundFactors]:
    """Rows with a table each: its logarithms, and which of its states are possible."""
    table_id = torch.arange(len(logs), dtype=torch.int32)
    possible = np.isfinite(logs)
    soft = torch.from_numpy(np.where(possible, logs, 0.0))
    yield GroundFactors(TABLE, atoms, 0, table=soft, table_id=table_id)
    hard = np.flatnonzero(~possible.all(1))
    if len(hard):
        table = torch.from_numpy(possible[hard].astype(np.float64))
        chosen = torch.from_numpy(hard)
        yield GroundFactors(TABLE, atoms[chosen], None, table=table, table_id=table_id[: len(hard)])


def _conjunctions(
    function: _Function, sizes: NDArray[np.int64], first: NDArray[np.int64]
) -> Iterator[GroundFactors]:
    """Entries that are not 1, those of equal signs together; entries of 0 as hard clauses."""
    scope = list(function.scope)
    k = len(scope)
    digits = state_digits(tuple(sizes[scope].tolist()))
    binary = (sizes[scope] == 2)[:, None]
    atoms = (first[scope][:, None] + np.where(binary, 0, digits)).T
    positive = (~binary | (digits == 1)).T
    kept = np.flatnonzero(function.logs != 0)
    codes = (positive[kept] << np.arange(k)).sum(1)
    for code in np.unique(codes):
        same = kept[codes == code]
        hard = np.isneginf(function.logs[same])
        if hard.any():
            signs = tuple((~positive[same[0]]).tolist())
            yield GroundFactors.of(tensor(atoms[same[hard]], torch.int32), signs, None)
        if not hard.all():
            table = torch.zeros(1 << k, dtype=torch.float64)
            table[int(code)] = 1.0
            value = torch.from_numpy(function.logs[same[~hard]])
            yield GroundFactors.of(tensor(atoms[same[~hard]], torch.int32), table, 0, value)
