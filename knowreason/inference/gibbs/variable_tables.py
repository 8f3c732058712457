"""Rows of a Gibbs network as tables over variables, for drawing many variables at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import Array, array, offsets_of, owners
from knowreason.factors.components.component_variables import Variables
from knowreason.factors.kernel_decorators import compiled
from knowreason.factors.potentials.factor_nodes import CLAUSE_ROW as CLAUSE
from knowreason.factors.potentials.factor_nodes import COUNT_ROW
from knowreason.factors.potentials.factor_nodes import TABLE_ROW as TABLE
from knowreason.inference.gibbs.gibbs_layout import GibbsLayout
from knowreason.row_keys import distinct_rows

MOST_STATES = 256  # of a row that is listed as a table


@dataclass(frozen=True)
class VariableTables:
    """Rows over the same variables as one table; blocks are variables of several states.

    Attributes:
        variables: open atoms and blocks.
        offsets, scope: CSR of the variables of each table, increasing; states in C order.
        first: ``int64[t + 1]`` where the entries of each table start.
        row_table: ``int64[f]`` table of each row, -1 for none.
        drawable: ``bool[v]`` variables all of whose rows are tables.
        label: ``int64[v]`` component.
    """

    variables: Variables
    offsets: NDArray[np.int64]
    scope: NDArray[np.int64]
    first: NDArray[np.int64]
    row_table: NDArray[np.int64]
    drawable: NDArray[np.bool_]

    @property
    def component(self) -> NDArray[np.int64]:
        """``int64[t]``: component of each table."""
        return self.variables.component[self.scope[self.offsets[:-1]]]

    def entries(self, wiring: GibbsLayout, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[first[-1]]``: log-potentials at row weights ``float64[f]``."""
        out = np.zeros(self.first[-1])
        v = self.variables
        _add_rows(
            wiring.rows, wiring.row_edges, wiring.tables, weights, self.row_table, self.offsets,
            self.scope, self.first, v.sizes, v.of_atom, v.digit, out,
        )  # fmt: skip
        return out


def variable_tables(
    graph: FactorGraph, wiring: GibbsLayout, label: NDArray[np.int32]
) -> VariableTables:
    """Tables of a conditioned graph.

    Variables of rows of more than 256 states, of counts that define an atom, and the atoms
    they define are drawn alone: they stand still while others are drawn.
    """
    variables = Variables.of(graph, label, array(graph.evidence) == OPEN)
    rows = wiring.rows[:-1]
    owner = owners(wiring.rows["first"])
    atom = wiring.row_edges["place"]
    variable = variables.of_atom[atom]
    distinct, _ = distinct_rows([owner, variable])
    distinct = distinct[np.lexsort((variable[distinct], owner[distinct]))]
    of_row, scope = owner[distinct], variable[distinct]
    width = np.bincount(of_row, minlength=len(rows))
    bits = np.bincount(of_row, np.log2(variables.sizes[scope]), len(rows))
    listed = (rows["target"] < 0) & (bits <= np.log2(MOST_STATES) + 1e-9)
    drawable = np.ones(variables.count, np.bool_)
    drawable[scope[~listed[of_row]]] = False
    target = rows["target"][rows["target"] >= 0]
    drawable[variables.of_atom[target]] = False
    assert not (listed & (rows["kind"] == COUNT_ROW) & (rows["target"] >= 0)).any()
    starts = offsets_of(width)
    table_of = np.full(len(rows), -1, np.int64)
    scopes: list[Array] = []
    sizes: list[Array] = []
    count = 0
    for k in np.unique(width[listed]):
        mine = np.flatnonzero(listed & (width == k))
        keys = scope[starts[mine][:, None] + np.arange(k)]
        chosen, inverse = distinct_rows(keys.T)
        table_of[mine] = count + inverse
        count += len(chosen)
        scopes.append(keys[chosen])
        sizes.append(variables.sizes[keys[chosen]].prod(1))
    none = np.zeros(0, np.int64)
    widths = np.concatenate([none, *(np.full(len(s), s.shape[1]) for s in scopes)])
    return VariableTables(
        variables,
        offsets_of(widths),
        np.concatenate([none, *(s.ravel() for s in scopes)]),
        offsets_of(np.concatenate([none, *sizes])),
        table_of,
        drawable,
    )


@compiled
def _add_rows(
    rows: NDArray[np.void],
    edges: NDArray[np.void],
    tables: NDArray[np.float64],
    weights: NDArray[np.float64],
    row_table: NDArray[np.int64],
    offsets: NDArray[np.int64],
    scope: NDArray[np.int64],
    first: NDArray[np.int64],
    sizes: NDArray[np.int64],
    of_atom: NDArray[np.int64],
    digit: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Adds each row's weight times its potential to every entry of its table."""
    for row in range(rows.shape[0] - 1):
        table = row_table[row]
        if table < 0 or weights[row] == 0.0:
            continue
        for entry in range(first[table + 1] - first[table]):
            total = 0
            for i in range(rows[row].first, rows[row + 1].first):
                variable, code = of_atom[edges[i].place], edges[i].code
                rest, state = entry, 0
                for j in range(offsets[table + 1] - 1, offsets[table] - 1, -1):
                    if scope[j] == variable:
                        state = rest % sizes[scope[j]]
                    rest //= sizes[scope[j]]
                true = state == digit[edges[i].place]
                if rows[row].kind == TABLE:
                    total += true * code
                else:
                    total += true == (code > 0)
            if rows[row].kind == TABLE:
                value = tables[rows[row].table_at + total]
            elif rows[row].kind == CLAUSE:
                value = 1.0 if total > 0 else 0.0
            else:
                value = 1.0 if rows[row].lower <= total <= rows[row].upper else 0.0
            out[first[table] + entry] += weights[row] * value
