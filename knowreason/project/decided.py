"""Which predicate a decision is about, and whether it has the clock that takes."""

from __future__ import annotations

from knowreason.errors import ProjectError
from knowreason.logic import Program
from knowreason.metrics.alarms import Decision


def decided_predicate(decision: Decision, program: Program) -> str:
    """The query predicate a decision is about.

    Raises:
        ProjectError: KR944 where there is none or several, or no clock with such periods.

    >>> import knowreason as kr
    >>> decided_predicate(Decision(capacity=50, predicate="Bad"), kr.testing.example_program())
    'Bad'
    """
    queries = [p.name for p in program.predicates if p.kind == "query"]
    name = decision.predicate or (queries[0] if len(queries) == 1 else "")
    if name not in queries:
        said = f"`{name}` is none" if name else f"there are {len(queries)}"
        raise ProjectError(
            f"a decision is about one query predicate, and {said}",
            code="KR944",
            help=f"`predicate` of it: one of {', '.join(queries) or 'none'}",
        )
    if not decision.per:
        return name
    clocks = [c for c in map(program.clock_of, program.sorts_of(name)) if c is not None]
    if not clocks:
        raise ProjectError(
            f"`{decision.capacity}` needs a clock, and no argument of `{name}` has one",
            code="KR944",
            help="write `clock` behind the attribute that says when it happened",
        )
    wanted = "int" if decision.per == "step" else "time"
    for clock in clocks:
        if clock.sort != wanted:
            counts = f'"{decision.places} a step" is so many for each of its values'
            raise ProjectError(
                f"`{decision.capacity}`: the clock `{clock.name}` is no `{wanted}`",
                code="KR944",
                help=counts if clock.sort == "int" else "leave the period out",
            )
    return name
