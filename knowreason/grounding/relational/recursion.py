"""Predicates defined through themselves or each other: reachability and its like.

Bodies are unfolded into branches in which these predicates stand as plain atoms. Where no branch
holds more than one, they are a ``WITH RECURSIVE``, whose steps see only the rows of the step
before; other bodies (``Reaches(x, z) & Reaches(z, y)``) join new rows with all rows so far, a
query a round. Predicates that need each other are rows of one table, with a tag that says which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import count, product

from sqlglot import exp

from knowreason.data.id_tables import TRUTH, argument_names
from knowreason.errors import GroundingError
from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.grounding.relational.term_sql import aliased, cast, column, named, union
from knowreason.logic import And, Atom, Exists, Formula, Or, Truth, Variable
from knowreason.logic.traversal import substitute, walk

Branch = tuple[Formula, ...]
TAG = "tag"
LATEST = " latest"  # no name of a program holds a space


@dataclass(frozen=True)
class Member:
    """One of the predicates that need each other.

    Attributes:
        name: of the predicate.
        parameters: its arguments.
        body: what defines it.
    """

    name: str
    parameters: tuple[Variable, ...]
    body: Formula


def mentions(formula: Formula, predicates: Collection[str]) -> bool:
    """Whether a formula holds an atom of one of the predicates."""
    return any(isinstance(node, Atom) and node.predicate in predicates for node in walk(formula))


def recursive_query(relations: Tables, members: Sequence[Member]) -> exp.Query:
    """Rows of the least predicates that satisfy their definitions.

    Of one predicate ``a0 ..``; of several the place of the predicate in ``tag`` and the
    arguments, ``NULL`` where it has fewer: see :func:`rows_of_member`.

    Raises:
        GroundingError: KR605 where a predicate needs itself other than positively.
    """
    names = [member.name for member in members]
    fresh = count()
    unfolded = [(m, branch) for m in members for branch in _unfolded(m.body, m.name, names, fresh)]
    base = [step for step in unfolded if not _own(step[1], names)]
    steps = [step for step in unfolded if _own(step[1], names)]
    start = union([_rows(relations, members, *s) for s in base or [(members[0], (Truth(False),))]])
    if relations.engine.recursive and all(len(_own(branch, names)) == 1 for _, branch in steps):
        return _recursive(relations, members, start, steps)
    return _rounds(relations, members, start, steps)


def rows_of_member(rows: exp.Table, members: Sequence[Member], name: str) -> exp.Query:
    """Rows (``a0 ..``) of one predicate among those of all that need each other."""
    if len(members) == 1:
        return _all_rows(rows)
    place = [member.name for member in members].index(name)
    arguments = argument_names(len(members[place].parameters))
    outputs: dict[str, exp.Expr] = {a: column("all", a) for a in arguments}
    own = exp.EQ(this=column("all", TAG), expression=exp.Literal.number(place))
    return named(outputs or {TRUTH: exp.true()}).from_(aliased(rows.copy(), "all")).where(own)


def row_columns(conjunction: Conjunction, parameters: Sequence[Variable]) -> dict[str, exp.Expr]:
    """Columns of a row of a predicate, by name: ``a0 ..``, or ``truth`` where it has none."""
    places = [conjunction.columns[variable.name] for variable in parameters]
    names = argument_names(len(places)) or [TRUTH]
    return dict(zip(names, places or [exp.true()], strict=True))


def _unfolded(
    formula: Formula, name: str, names: Sequence[str], fresh: Iterator[int]
) -> list[Branch]:
    """Branches of which one must hold, each a conjunction; ``names`` only as plain atoms."""
    if not mentions(formula, names) or isinstance(formula, Atom):
        return [(formula,)]
    match formula:
        case And():
            parts = [_unfolded(operand, name, names, fresh) for operand in formula.operands]
            return [sum(choice, ()) for choice in product(*parts)]
        case Or():
            return [b for part in formula.operands for b in _unfolded(part, name, names, fresh)]
        case Exists():
            renamed = {
                v.name: Variable(f"{v.name} {next(fresh)}", v.sort) for v in formula.variables
            }
            return _unfolded(substitute(formula.body, renamed), name, names, fresh)
    needed = next(other for other in names if mentions(formula, (other,)))
    circle = ", ".join(f"`{other}`" for other in names)
    raise GroundingError(
        f"`{name}` needs {'itself' if needed == name else f'`{needed}`'} under a negation, a "
        "`forall`, a count or an implication"
        + ("" if len(names) == 1 else f", and they need each other: {circle}"),
        code="KR605",
        help="predicates may need themselves or each other only positively",
    )


def _own(branch: Branch, names: Sequence[str]) -> list[int]:
    """Places of the predicates' own atoms in a branch."""
    return [i for i, p in enumerate(branch) if isinstance(p, Atom) and p.predicate in names]


def _rows(
    relations: Tables, members: Sequence[Member], member: Member, branch: Branch
) -> exp.Select:
    conjunction = Conjunction(relations)
    conjunction.satisfy(And(branch), member.parameters)
    columns = row_columns(conjunction, member.parameters)
    if len(members) > 1:
        tag: exp.Expr = exp.Literal.number(members.index(member))
        missing: dict[str, exp.Expr] = {n: cast(exp.Null(), "int") for n in _names(members)}
        columns.pop(TRUTH, None)
        columns = missing | {TAG: tag} | columns
    return conjunction.select(columns, distinct=True)


def _names(members: Sequence[Member]) -> list[str]:
    """Columns of the table that the predicates share."""
    arguments = argument_names(max(len(member.parameters) for member in members))
    return [TAG, *arguments] if len(members) > 1 else arguments or [TRUTH]


def _standing_for(
    relations: Tables, members: Sequence[Member], rows: exp.Table, suffix: str = ""
) -> AbstractContextManager[object]:
    """A context in which tables of the predicates are what is in ``rows`` of them."""
    stack = ExitStack()
    for member in members:
        table: exp.Expr = rows
        if len(members) > 1:
            table = exp.Subquery(this=rows_of_member(rows, members, member.name))
        stack.enter_context(relations.standing_for(member.name + suffix, table))
    return stack


def _recursive(
    relations: Tables,
    members: Sequence[Member],
    start: exp.Query,
    steps: Sequence[tuple[Member, Branch]],
) -> exp.Query:
    growing = relations.fresh_table(members[0].name)
    with _standing_for(relations, members, growing):
        following = union([_rows(relations, members, *step) for step in steps])
    names = [exp.to_identifier(name, quoted=True) for name in _names(members)]
    whole = exp.union(start, exp.Subquery(this=following), distinct=True, copy=False)
    query = exp.select(exp.Star()).from_(growing.copy())
    alias = exp.TableAlias(this=growing.this.copy(), columns=names)
    return query.with_(alias, as_=whole, recursive=True, copy=False)


def _rounds(
    relations: Tables,
    members: Sequence[Member],
    start: exp.Query,
    steps: Sequence[tuple[Member, Branch]],
) -> exp.Query:
    """Semi-naive evaluation: each round uses at least one row of the round before."""
    title = members[0].name
    everything = relations.materialise(title, start)
    latest = relations.materialise(title, _all_rows(everything))
    names = [member.name for member in members]
    variants = [(m, _reading(b, place)) for m, b in steps for place in _own(b, names)]
    while relations.rows(_all_rows(latest)):
        with (
            _standing_for(relations, members, everything),
            _standing_for(relations, members, latest, LATEST),
        ):
            derived = union([_rows(relations, members, *variant) for variant in variants])
        alias = "found"
        own = {name: column(alias, name) for name in _names(members)}
        new = exp.except_(named(own).from_(aliased(derived, alias)), _all_rows(everything))
        latest = relations.materialise(title, new)
        relations.append(everything, _all_rows(latest))
    return _all_rows(everything)


def _reading(branch: Branch, place: int) -> Branch:
    """The branch with the atom at one place reading the rows of the round before."""
    atom = branch[place]
    assert isinstance(atom, Atom)
    latest = replace(atom, predicate=atom.predicate + LATEST)
    return (*branch[:place], latest, *branch[place + 1 :])


def _all_rows(table: exp.Table) -> exp.Select:
    return exp.select(exp.Star()).from_(table.copy())
