"""Hard rules that no world satisfies: which of their groundings contradict each other, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError, UnknownNameError
from knowreason.explanation.grounding_reasons import ground_formula
from knowreason.factors import OPEN, TRUE, GroundFactors
from knowreason.factors.condition import clamp, rule_name
from knowreason.grounding import Grounding
from knowreason.grounding.provenance import ground_rule_of
from knowreason.inference.exact.conflicts import find_conflict
from knowreason.inference.exact.exact import is_possible
from knowreason.logic import Atom, Constant, Formula
from knowreason.logic.canonical_text import formula_text
from knowreason.logic.traversal import walk

SHOWN = 12  # groundings that a message lists


@dataclass(frozen=True)
class Contradiction:
    """What cannot hold together, in the words of the program; nothing of it can be left out.

    Attributes:
        rules: names of the hard rules, in the order of the program.
        groundings: rule and text of each grounding, with names from the data.
        blocks: functional predicates that have a part in it: ``Uses("e1", _)``.
        given: known atoms that do: ``Smokes("anna")``, ``!Cancer("bob")``.
        minimal: false where so much was needed that not each part was tried.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('''
        ... domain P = {"anna"}
        ... observed Old(P)
        ... query Smokes(P)
        ... rule many [hard] : Old(x) => Smokes(x)
        ... rule none [hard] : !Smokes(x)
        ... ''')
        >>> data = kr.Dataset.from_frames(program, facts={"Old": {"p": ["anna"]}})
        >>> print(contradiction(kr.ground(program, data)))
        no world satisfies hard rules `many` and `none`:
          many: Old("anna") => Smokes("anna")
          none: !Smokes("anna")
    """

    rules: tuple[str, ...]
    groundings: tuple[tuple[str, str], ...]
    blocks: tuple[str, ...]
    given: tuple[str, ...]
    minimal: bool

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        names = [f"`{name}`" for name in self.rules]
        listed = " and ".join([", ".join(names[:-1]), *names[-1:]][len(names) < 2 :])
        what = f"hard rule{'s' * (len(names) > 1)} {listed}" if names else "functional predicates"
        lines = [f"{rule}: {text}" for rule, text in self.groundings]
        lines += [f"one value of {block}" for block in self.blocks]
        more = len(lines) - SHOWN
        lines = [*lines[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
        lines += [f"given {' and '.join(self.given[:SHOWN])}"] if self.given else []
        return "\n  ".join([f"no world satisfies {what}:", *lines])


def contradiction(
    grounding: Grounding, labels: NDArray[np.int8] | None = None
) -> Contradiction | None:
    """Groundings of hard rules and known atoms that cannot hold together; ``None`` if all can.

    Components that are too large for exact inference are not asked about.

    Args:
        grounding: of the rules.
        labels: ``int8[n]``, taken as known beside the grounding's evidence; ``-1`` where none.
    """
    graph = grounding.graph if labels is None else clamp(grounding.graph, torch.from_numpy(labels))
    found = find_conflict(graph, is_possible)
    if found is None:
        return None
    named: dict[tuple[str, str], None] = {}
    given = set(found.given)
    for place, row in found.rows:
        ground_rule = ground_rule_of(grounding, place, row)
        if ground_rule is None:
            named[_count(grounding, graph.factors[place].take(np.array([row])))] = None
            continue
        formula = ground_formula(grounding, ground_rule)
        named[ground_rule.rule, formula_text(formula)] = None
        given |= _decided(grounding, formula)
    order = [rule.name for rule in grounding.program.rules]
    blocks = graph.blocks.take(np.array(found.blocks, np.int64)).first_atoms()
    evidence = graph.evidence.tolist()
    return Contradiction(
        tuple(sorted({rule for rule, _ in named}, key=order.index)),
        tuple(named),
        tuple(grounding.block_name(int(atom)) for atom in blocks),
        tuple("!" * (evidence[a] != TRUE) + grounding.atom_name(a) for a in sorted(given)),
        found.minimal,
    )


@contextmanager
def contradictions_named(
    grounding: Grounding, labels: NDArray[np.int8] | None = None
) -> Iterator[None]:
    """A context whose errors about hard rules (KR702, KR703) are a :func:`contradiction`."""
    try:
        yield
    except InferenceError as error:
        found = contradiction(grounding, labels) if error.code in ("KR702", "KR703") else None
        if found is None:
            raise
        said = error.diagnostics[0]
        named = InferenceError(str(found), code=said.code, help=said.help)
        named.rules = error.rules
        raise named from error


def _decided(grounding: Grounding, formula: Formula) -> set[int]:
    """Atoms of a ground formula whose truth grounding has folded in."""
    decided = set()
    for node in walk(formula):
        if isinstance(node, Atom) and node.predicate in grounding.atoms.spans:
            names = [term.value for term in node.arguments if isinstance(term, Constant)]
            if len(names) == len(node.arguments):
                with suppress(UnknownNameError):  # outside of its candidates: false
                    atom = grounding.atom_index(node.predicate, *names)
                    if grounding.graph.evidence[atom] != OPEN:
                        decided.add(atom)
    return decided


def _count(grounding: Grounding, row: GroundFactors) -> tuple[str, str]:
    """Name of the rule and text of a count, whose setting is not kept."""
    name = grounding.program.rules[row.rule].name if row.rule >= 0 else rule_name(row.rule)
    (lower,), (upper,) = row.bounds()
    literals = zip(row.entry_signs.tolist(), row.entry_atoms.tolist(), strict=True)
    inside = ", ".join("!" * (not sign) + grounding.atom_name(atom) for sign, atom in literals)
    return name, f"{lower} <= count {{ {inside} }} <= {upper}"
