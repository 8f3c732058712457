"""Folding kernels against the same thing said in Python."""

import sys
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowreason.factors.kernel_decorators import _Kernel
from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
    Auxiliary,
    Lists,
)
from knowreason.grounding.folding.fold_kernels import (
    clause_signs,
    fold_clauses,
    fold_leaves,
    fold_literals,
    leaf_states,
    literal_codes,
    take_atoms,
    take_columns,
)
from knowreason.grounding.folding.truth_tables import Residual, residual
from knowreason.grounding.plan.formula_tree import All, Any_, Crisp, Same
from knowreason.grounding.plan.rule_plan import leaves
from knowreason.logic import Atom

TRUE, FALSE, UNKNOWN = int(TRUE_LITERAL), int(FALSE_LITERAL), int(UNKNOWN_LITERAL)
ATOMS = 3
known_codes = st.sampled_from([TRUE, FALSE, 1, 2, 3, -1, -2, -3])
codes_or_unknown = st.one_of(known_codes, st.just(UNKNOWN))


def value(code, world):
    if code in (TRUE, FALSE):
        return code == TRUE
    return world[code - 1] if code > 0 else not world[-code - 1]


WORLDS = list(product([False, True], repeat=ATOMS))


@given(st.integers(1, 5).flatmap(lambda k: st.lists(st.tuples(*[codes_or_unknown] * k))))
def test_clauses(rows):
    if not rows:
        return
    codes = np.array(rows, np.int32).T.copy()
    folded = fold_clauses(codes)
    seen = [folded.satisfied, folded.violated, folded.missing, *folded.rows]
    assert sorted(np.concatenate(seen).tolist()) == list(range(len(rows)))
    for i in folded.satisfied:
        assert TRUE in rows[i] or any(-c in rows[i] for c in rows[i] if c not in (UNKNOWN,))
    for i in folded.violated:
        assert set(rows[i]) == {FALSE}
    for i in folded.missing:
        assert UNKNOWN in rows[i]
    for pattern, chosen in zip(folded.patterns, folded.rows, strict=True):
        literals = clause_signs(pattern)
        atoms = take_atoms(codes, chosen, [j for j, _ in literals])
        for i, row in zip(chosen, atoms.tolist(), strict=True):
            assert len(set(row)) == len(row)
            for world in WORLDS:
                left = any(world[a] == sign for a, (_, sign) in zip(row, literals, strict=True))
                assert left == any(value(c, world) for c in rows[i])


def nodes(depth=3):
    leaf = st.just(Crisp(Atom("P", ())))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: Any_(tuple(parts))),
            st.tuples(inner, inner).map(lambda pair: Same(*pair)),
        ),
        max_leaves=6,
    )


def node_value(node, values):
    if isinstance(node, All | Any_):
        found = [node_value(part, values) for part in node.parts]
        return all(found) if isinstance(node, All) else any(found)
    if isinstance(node, Same):
        return node_value(node.left, values) == node_value(node.right, values)
    return next(values)


@given(nodes(), st.data())
def test_residuals_of_any_formula(node, data):
    count = len(leaves(node))
    row = data.draw(st.tuples(*[known_codes] * count))
    codes = np.array([row], np.int32).T.copy()
    (pattern,) = fold_leaves(codes).patterns
    left = residual(node, leaf_states(pattern, count))
    for world in WORLDS:
        want = node_value(node, iter([value(c, world) for c in row]))
        if isinstance(left, Residual):
            atoms = take_atoms(codes, np.array([0]), left.positions)[0].tolist()
            index = sum(int(world[a]) << j for j, a in enumerate(atoms))
            assert bool(left.table[index]) == want
            if left.signs is not None:
                pairs = zip(atoms, left.signs, strict=True)
                assert any(world[a] == s for a, s in pairs) == want
        else:
            assert (left == -1) == want


@given(
    st.lists(
        st.tuples(st.lists(codes_or_unknown, max_size=6), st.integers(-1, 4), st.integers(-1, 6)),
        max_size=12,
    )
)
def test_defined_counts(rows):
    lists = Lists(
        np.cumsum([0, *(len(codes) for codes, _, _ in rows)]).astype(np.int64),
        np.array([c for codes, _, _ in rows for c in codes], np.int32),
    )
    lower = np.array([low for _, low, _ in rows], np.int32)
    upper = np.array([high for _, _, high in rows], np.int32)
    auxiliary = Auxiliary(ATOMS)
    result = auxiliary.define(lists, lower, upper, rule=0)
    for world in WORLDS:
        full = list(world) + [False] * (auxiliary.next_atom - ATOMS)
        for group in auxiliary.groups:
            offsets = group.offsets.tolist()
            for i, target in enumerate(group.target.tolist()):
                part = slice(offsets[i], offsets[i + 1])
                atoms, signs = group.atoms[part].tolist(), group.signs[part].tolist()
                assert len(set(atoms)) == len(atoms)
                number = sum(full[a] == s for a, s in zip(atoms, signs, strict=True))
                full[target] = int(group.lower[i]) <= number <= int(group.upper[i])
        for (codes, low, high), code in zip(rows, result.tolist(), strict=True):
            number = sum(value(c, world) for c in codes if c != UNKNOWN)
            assert value(code, full) == (low <= number <= high)


def test_equal_counts_share_an_atom():
    auxiliary = Auxiliary(3)
    lists = Lists(np.array([0, 2, 4, 6]), np.array([1, 2, 2, 1, 1, 3], np.int32))
    two = np.full(3, 2, np.int32)
    assert auxiliary.define(lists, two, two, rule=0).tolist() == [4, 4, 5]


def test_many_patterns():
    draw = np.random.default_rng(0)
    codes = draw.choice(np.array([TRUE, FALSE, 1, -2, 3, -4, 5], np.int32), (12, 5000))
    folded = fold_leaves(codes)
    assert len(folded.patterns) > 1024
    assert sum(map(len, folded.rows)) == 5000


def test_python_folds_few_rows_as_compiled_code_does(monkeypatch):
    rng = np.random.default_rng(0)
    codes = rng.choice([TRUE, FALSE, UNKNOWN, 1, 2, 3, -1, -2, -3], (4, 200)).astype(np.int32)
    atoms = tuple(rng.integers(0, 9, (3, 200), dtype=np.int32))
    states = rng.integers(0, 4, (2, 9), dtype=np.uint8)
    rows = np.arange(0, 200, 3)

    def found():
        literals = fold_literals(
            atoms, states, (True, False, True), ((0, 1), (0, 2)), list_satisfied=True
        )
        folded = (fold_clauses(codes), fold_leaves(codes), literals)
        taken = (take_atoms(codes, rows, [0, 2]), take_columns(atoms, rows, [1]))
        return folded, (*taken, literal_codes(atoms[0] - 1, codes[0], False))

    folded, taken = found()
    assert "numba" in sys.modules
    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.setattr(_Kernel, "interpreted", 0)
    again, taken_again = found()
    assert "numba" not in sys.modules
    for one, other in zip(folded, again, strict=True):
        assert one.patterns == other.patterns
        for part in ("satisfied", "violated", "missing"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        for part, same in zip(one.rows, other.rows, strict=True):
            np.testing.assert_array_equal(part, same)
    for one, other in zip(taken, taken_again, strict=True):
        np.testing.assert_array_equal(one, other)
