"""Where rules fire: at the atoms of their heads at which their bodies hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.id_tables import TRUTH, id_matrix, id_table
from knowreason.factors import OPEN, TRUE
from knowreason.grounding.arrays.array_context import open_relations
from knowreason.grounding.atom_numbering import Numbering, open_atoms
from knowreason.grounding.grounding import known_atoms
from knowreason.logic import (
    And,
    Argument,
    Atom,
    Comparison,
    Definition,
    Formula,
    Not,
    Predicate,
    Program,
    Rule,
    Term,
    Variable,
)
from knowreason.logic.rule_forms import HeadForm, head_form
from knowreason.logic.traversal import names_in
from knowreason.models.base.feature_columns import evaluated_definitions
from knowreason.row_keys import locate

Ids = NDArray[np.int32]
ASKED, TAKEN, FIRINGS = "asked ", "taken ", "firings of "  # no name of a program has a space


@dataclass(frozen=True, eq=False)
class AskedOf:
    """Atoms of one predicate: things ``int32[n, arity]``, truth ``int8[n]`` (-1 where unknown)."""

    arguments: Ids
    truth: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class RuleWorld:
    """What rules are read in.

    Attributes:
        data: facts, attributes and definitions.
        asked: by predicate, the atoms at which its rules may fire.
        true: by open predicate, the atoms that are taken for true in bodies, ``int32[m, arity]``;
            of a predicate that is not there nothing is known.
    """

    data: Dataset
    asked: Mapping[str, AskedOf]
    true: Mapping[str, Ids]


@dataclass(frozen=True, eq=False)
class Fired:
    """Where a rule fires.

    Attributes:
        rule: its name.
        predicate: of its head.
        says: whether it says that the head is true.
        at: ``bool[n]`` over the asked atoms of the predicate.
        shadow: whether it is measured only.
    """

    rule: str
    predicate: str
    says: bool
    at: NDArray[np.bool_]
    shadow: bool


def believed_world(beliefs: Beliefs) -> RuleWorld:
    """The world of beliefs: an open atom is true that is known to be, or more likely than not."""
    grounding = beliefs.grounding
    known = grounding.graph.evidence.numpy()
    asked, true = {}, {}
    for name, span in grounding.atoms.spans.items():
        atoms = beliefs.asked(name)
        arguments = span.arguments[atoms - span.start]
        asked[name] = AskedOf(arguments, grounding.hidden[atoms])
        inside = slice(span.start, span.stop)
        taken = np.where(known[inside] == OPEN, beliefs.log_odds[inside] >= 0, known[inside] == 1)
        true[name] = span.arguments[taken]
    return RuleWorld(grounding.data, asked, true)


def labelled_world(data: Dataset) -> RuleWorld:
    """The world of labels and evidence: an open atom is true that is said to be; of a latent
    predicate without evidence nothing is known."""
    data = replace(data, label_refresh=0)  # labels are as old as they are
    program, table = data.program, open_atoms(data.program, data)
    known = known_atoms(program, data, table, Numbering.of(table, program, data), "open")
    truth = np.where(known.labels != OPEN, known.labels, known.evidence)
    asked, true = {}, {}
    for predicate in program.open_predicates:
        span = table.spans[predicate.name]
        own = truth[span.start : span.stop]
        asked[predicate.name] = AskedOf(span.arguments, own)
        if predicate.kind == "query" or (own != OPEN).any():
            true[predicate.name] = span.arguments[own == TRUE]
    return RuleWorld(data, asked, true)


def rule_firings(
    world: RuleWorld, rules: Iterable[Rule]
) -> tuple[tuple[Fired, ...], dict[str, str]]:
    """Where rules fire, and by name why others cannot be measured.

    A rule fires at an asked atom of its head where its body holds: facts, attributes and
    definitions as the data have them, open atoms as the world takes them. Weights play no part.

    >>> from knowreason import Dataset, loads
    >>> program = loads('''domain P = {"a", "b"}
    ... observed Odd(P)
    ... query Bad(P)
    ... rule odd [shadow] : Odd(x) => Bad(x)''')
    >>> data = Dataset.from_frames(program, facts={"Odd": {"p": ["b"]}})
    >>> (odd,), _ = rule_firings(labelled_world(data), program.shadow_rules)
    >>> odd.at.tolist()
    [False, True]
    """
    program = world.data.program
    known_names = {*world.true, *world.data.attributes}
    forms: dict[str, tuple[Rule, HeadForm]] = {}
    left: dict[str, str] = {}
    for rule in rules:
        form = head_form(rule.formula, program)
        if form is None:
            bare = isinstance(rule.formula, Atom | Not)
            left[rule.name] = "no body says where" if bare else "nothing is said of one atom"
            continue
        unknown = sorted(_open_names(form.body, program) - known_names)
        if unknown:
            left[rule.name] = f"nothing is known of `{unknown[0]}`, which stands in its body"
        else:
            forms[rule.name] = rule, form
    if not forms:
        return (), left
    data = _with_firings(world, forms)
    fired = []
    known = evaluated_definitions(world.data)
    with open_relations(data.program, data, known=known) as relations:
        for name, (rule, form) in forms.items():
            asked = world.asked[form.head.predicate].arguments
            rows = id_matrix(relations.read(FIRINGS + name))
            at = np.full(len(asked), len(rows) > 0)
            if len(rows) and rows.shape[1]:
                at = locate(rows, asked) >= 0
            shadow = rule.weight.kind == "shadow"
            fired.append(Fired(name, form.head.predicate, form.says, at, shadow))
    return tuple(fired), left


def _open_names(body: Formula, program: Program) -> set[str]:
    """Open predicates and numeric queries that a body reads, the latter in definitions too."""
    names = names_in(body)
    numbers = {query.name for query in program.numeric_queries}
    read = names.union(*(program.estimate_readers.get(name, ()) for name in names))
    return read & (numbers | {predicate.name for predicate in program.open_predicates})


def _with_firings(world: RuleWorld, forms: Mapping[str, tuple[Rule, HeadForm]]) -> Dataset:
    """The data with a definition a rule, over facts that say what is asked and what is true."""
    program, facts = world.data.program, dict(world.data.facts)
    predicates: dict[str, Predicate] = {}

    def fact(prefix: str, predicate: str, rows: Ids) -> None:
        name = prefix + predicate
        places = tuple(Argument(sort) for sort in program.sorts_of(predicate))
        predicates[name] = Predicate(name, "observed", places)
        truth = pa.table({TRUTH: np.ones(len(rows), np.bool_)})
        facts[name] = id_table(list(rows.T)) if places else truth

    for name, rows in world.true.items():
        fact(TAKEN, name, rows)
    for name, asked in world.asked.items():
        fact(ASKED, name, asked.arguments)
    definitions = [_definition(rule, form, set(world.true)) for rule, form in forms.values()]
    grown = replace(
        program,
        predicates=(*program.predicates, *predicates.values()),
        definitions=(*program.definitions, *definitions),
        rules=(),
        shadow_rules=(),
    )
    return replace(world.data, program=grown, facts=facts)


def _definition(rule: Rule, form: HeadForm, taken: set[str]) -> Definition:
    """``firings(head's arguments) := asked(head's arguments) & body``."""
    parameters: list[Variable] = []
    same: list[Formula] = []
    for place, argument in enumerate(form.head.arguments):
        if isinstance(argument, Variable) and argument not in parameters:
            parameters.append(argument)
            continue
        parameters.append(Variable(f"argument {place}", argument.sort))
        same.append(Comparison("=", parameters[-1], argument))
    asked = Atom(ASKED + form.head.predicate, tuple(parameters))
    body = And((asked, *same, _taken(form.body, taken)))
    return Definition(FIRINGS + rule.name, tuple(parameters), body, span=rule.span)


def _taken(node: Any, predicates: set[str]) -> Any:
    """The node with atoms that are taken for true in place of open ones."""
    if isinstance(node, tuple):
        return tuple(_taken(part, predicates) for part in node)
    if not isinstance(node, Formula | Term):
        return node
    changed = {
        field.name: _taken(getattr(node, field.name), predicates)
        for field in fields(node)
        if field.name not in ("variables", "span")
    }
    if isinstance(node, Atom) and node.predicate in predicates:
        changed["predicate"] = TAKEN + node.predicate
    return replace(node, **changed)
