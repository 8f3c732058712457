"""Predicates defined through themselves: reachability and its like.

The body is unfolded into branches in which the predicate stands as a plain atom. Where
no branch holds more than one, it is a ``WITH RECURSIVE``, whose steps see only the rows of
the step before; other bodies (``Reaches(x, z) & Reaches(z, y)``) join new rows with all
rows so far, a query a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, product

from sqlglot import exp

from knowreason.data.id_tables import TRUTH, argument_names
from knowreason.errors import GroundingError
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.grounding.relational.term_sql import aliased, column, named, union
from knowreason.logic import And, Atom, Definition, Exists, Formula, Or, Truth, Variable
from knowreason.logic.traversal import substitute, walk

Branch = tuple[Formula, ...]


def mentions(formula: Formula, predicate: str) -> bool:
    """Whether a formula holds an atom of the predicate."""
    return any(isinstance(node, Atom) and node.predicate == predicate for node in walk(formula))


def recursive_query(relations: Tables, definition: Definition, body: Formula) -> exp.Query:
    """Rows (``a0 ..``) of the least predicate that satisfies its definition.

    Raises:
        GroundingError: KR605 where the predicate needs itself other than positively.
    """
    unfolded = _unfolded(body, definition.name, count())
    base = [branch for branch in unfolded if not _own(branch, definition.name)]
    steps = [branch for branch in unfolded if _own(branch, definition.name)]
    start = union([_rows(relations, definition, b) for b in base or [(Truth(False),)]])
    if all(len(_own(branch, definition.name)) == 1 for branch in steps):
        return _recursive(relations, definition, start, steps)
    return _rounds(relations, definition, start, steps)


def _unfolded(formula: Formula, name: str, fresh: Iterator[int]) -> list[Branch]:
    """Branches of which one must hold, each a conjunction; ``name`` only as plain atoms."""
    if not mentions(formula, name) or isinstance(formula, Atom):
        return [(formula,)]
    match formula:
        case And():
            parts = [_unfolded(operand, name, fresh) for operand in formula.operands]
            return [sum(choice, ()) for choice in product(*parts)]
        case Or():
            return [b for operand in formula.operands for b in _unfolded(operand, name, fresh)]
        case Exists():
            renamed = {
                v.name: Variable(f"{v.name} {next(fresh)}", v.sort) for v in formula.variables
            }
            return _unfolded(substitute(formula.body, renamed), name, fresh)
    raise GroundingError(
        f"`{name}` needs itself under a negation, a `forall`, a count or an implication",
        code="KR605",
        help="a predicate may need itself only positively",
    )


def _own(branch: Branch, name: str) -> list[int]:
    """Places of the predicate's own atoms in a branch."""
    return [i for i, p in enumerate(branch) if isinstance(p, Atom) and p.predicate == name]


def _rows(relations: Tables, definition: Definition, branch: Branch) -> exp.Select:
    conjunction = Conjunction(relations)
    conjunction.satisfy(And(branch), definition.parameters)
    return conjunction.select(row_columns(conjunction, definition.parameters), distinct=True)


def row_columns(conjunction: Conjunction, parameters: Sequence[Variable]) -> dict[str, exp.Expr]:
    """Columns of a row of a predicate, by name: ``a0 ..``, or ``truth`` where it has none."""
    places = [conjunction.columns[variable.name] for variable in parameters]
    return dict(zip(_names(len(places)), places or [exp.true()], strict=True))


def _names(arity: int) -> list[str]:
    return argument_names(arity) or [TRUTH]


def _recursive(
    relations: Tables, definition: Definition, start: exp.Query, steps: list[Branch]
) -> exp.Query:
    growing = relations.fresh_table(definition.name)
    with relations.standing_for(definition.name, growing):
        following = union([_rows(relations, definition, branch) for branch in steps])
    names = [exp.to_identifier(n, quoted=True) for n in _names(len(definition.parameters))]
    whole = exp.union(start, exp.Subquery(this=following), distinct=True, copy=False)
    query = exp.select(exp.Star()).from_(growing.copy())
    alias = exp.TableAlias(this=growing.this.copy(), columns=names)
    return query.with_(alias, as_=whole, recursive=True, copy=False)


def _rounds(
    relations: Tables, definition: Definition, start: exp.Query, steps: list[Branch]
) -> exp.Query:
    """Semi-naive evaluation: each round uses at least one row of the round before."""
    name, latest_name = definition.name, f"{definition.name} latest"
    everything = relations.materialise(name, start)
    latest = relations.materialise(name, _all_rows(everything))
    variants = [
        _reading(branch, place, latest_name) for branch in steps for place in _own(branch, name)
    ]
    while relations.rows(_all_rows(latest)):
        with (
            relations.standing_for(name, everything),
            relations.standing_for(latest_name, latest),
        ):
            derived = union([_rows(relations, definition, branch) for branch in variants])
        alias = "found"
        own = {name: column(alias, name) for name in _names(len(definition.parameters))}
        new = exp.except_(named(own).from_(aliased(derived, alias)), _all_rows(everything))
        latest = relations.materialise(name, new)
        relations.execute(exp.insert(_all_rows(latest), everything.copy()))
    return _all_rows(everything)


def _reading(branch: Branch, place: int, name: str) -> Branch:
    """The branch with the atom at one place reading another relation."""
    atom = branch[place]
    assert isinstance(atom, Atom)
    return (*branch[:place], replace(atom, predicate=name), *branch[place + 1 :])


def _all_rows(table: exp.Table) -> exp.Select:
    return exp.select(exp.Star()).from_(table.copy())
