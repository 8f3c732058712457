"""Generated families, as a knowledge graph: who is whose parent, spouse, sibling, grandparent."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from knowreason.data.arrow_types import ArrowTable

TRIPLE = ("head", "relation", "tail")


def families(
    seed: int = 0, *, count: int = 16, known: float = 0.75, wrong: int = 2
) -> dict[str, ArrowTable]:
    """Families of three generations; the same seed gives the same families.

    Args:
        seed: of all draws.
        count: families.
        known: share of the true triples that the graph holds.
        wrong: false candidates beside each true triple that it lacks.

    Returns:
        ``known`` (head, relation, tail) and ``candidates`` (head, relation, tail, holds bool).
    """
    rng = np.random.default_rng(seed)
    true: list[tuple[str, str, str]] = []
    family: dict[str, list[str]] = {}
    for number in range(count):
        triples = _family(rng, f"f{number}_")
        true += triples
        family |= dict.fromkeys(
            (person for head, _, tail in triples for person in (head, tail)),
            sorted({head for head, _, _ in triples}),
        )
    kept = rng.random(len(true)) < known
    hidden = [triple for triple, is_kept in zip(true, kept, strict=True) if not is_kept]
    asked = dict.fromkeys(hidden, True)
    taken = set(true)
    for head, relation, _ in hidden:
        for tail in rng.choice(family[head], wrong):
            if (head, relation, str(tail)) not in taken and tail != head:
                asked[head, relation, str(tail)] = False
    known_triples = [triple for triple, is_kept in zip(true, kept, strict=True) if is_kept]
    return {
        "known": _table(known_triples),
        "candidates": _table(list(asked), holds=list(asked.values())),
    }


def _family(rng: np.random.Generator, name: str) -> list[tuple[str, str, str]]:
    """All that is true in one family."""
    founders = [f"{name}p0", f"{name}p1"]
    children = [f"{name}c{i}" for i in range(rng.integers(2, 4))]
    couples = [(founders, children)]
    for child in children:
        spouse, grandchildren = f"{child}s", [f"{child}g{i}" for i in range(rng.integers(1, 4))]
        couples.append(([child, spouse], grandchildren))
    found = []
    for parents, young in couples:
        found += [(a, "spouse_of", b) for a in parents for b in parents if a != b]
        found += [(a, "sibling_of", b) for a in young for b in young if a != b]
        found += [(a, "parent_of", b) for a in parents for b in young]
        found += [(b, "child_of", a) for a in parents for b in young]
    for (child, _), young in couples[1:]:
        found += [(a, "grandparent_of", b) for a in founders for b in young]
        found += [(a, "aunt_or_uncle_of", b) for a in children if a != child for b in young]
    return found


def _table(triples: list[tuple[str, str, str]], **beside: list[bool]) -> ArrowTable:
    columns = dict(zip(TRIPLE, zip(*triples, strict=True), strict=True))
    table: ArrowTable = pa.table({**columns, **beside})
    return table
