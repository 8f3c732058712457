"""What grounding will cost, found before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from sqlglot import exp

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError
from knowreason.factors import AtomTable
from knowreason.grounding.arrays.array_relations import AnyRelations
from knowreason.grounding.atom_numbering import DEFAULT_LIMIT, open_atoms
from knowreason.grounding.folding.rule_settings import Listing, listing
from knowreason.grounding.plan.domain_products import ranging_variables, too_large
from knowreason.grounding.plan.formula_tree import Node, OpenCount, OpenLiteral
from knowreason.grounding.plan.rule_plan import RulePlan, leaves, outer_variables, plan_rule
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.join_counts import RowCount, count_rows
from knowreason.grounding.relational.term_sql import column
from knowreason.logic import Formula, Program, Term
from knowreason.logic.canonical_text import formula_text
from knowreason.notebook.cells import html_cell, html_lines, html_table, listed, text_table

SECONDS_A_RULE = 0.02  # these by benchmarks/plan_sizes.py --costs
SECONDS_A_ROW = 5e-8
SECONDS_A_JOINED_ROW = 2e-8  # before filters
SECONDS_A_FOUND_ATOM = 5e-8  # among the candidates of `within`
SECONDS_A_CANDIDATE = 2e-7
SURELY = 2  # times the limit: above it an estimate is taken at its word
TOO_MUCH = 5.0  # weight times groundings an atom
MANY_ENTRIES = 30  # of a count that ties them into one component


@dataclass(frozen=True)
class RuleEstimate:
    r"""Estimated rows, bytes and seconds of grounding one rule.

    Attributes:
        rule: its name.
        rows: groundings listed; ``exact`` where they were counted.
        how: where that figure comes from, in words.
        bytes: of ids and factors.
        seconds: of a core, without definitions.
        joins: what is joined, in the order written, and what ranges over a domain.
        refused: why it will not be grounded, if so.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> plan(program, Dataset.from_frames(program)).rules[0].joins
        ('x over P (1)',)
    """

    rule: str
    rows: int
    exact: bool
    how: str
    bytes: int
    seconds: float
    joins: tuple[str, ...]
    refused: Diagnostic | None = None


@dataclass(frozen=True)
class DefinitionEstimate:
    """Rows, bytes and seconds of the table of one definition that rules read.

    Attributes:
        definition: its name.
        rows: of its table, which is computed to count the rules that read it.
        bytes: of that table.
        seconds: of a core, measured while it was; what it shares with others bears the first.
    """

    definition: str
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Total:
    """Rows of all rules; bytes and seconds of rules, definitions and atoms."""

    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    r"""Estimated size of the grounding of every rule.

    Attributes:
        atoms: number of open atoms by predicate.
        rules: one a rule.
        definitions: one a definition that rules read.
        warnings: what the user should know.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> plan(program, Dataset.from_frames(program)).atoms
        {'Smokes': 1}
    """

    atoms: dict[str, int]
    rules: tuple[RuleEstimate, ...]
    warnings: tuple[Diagnostic, ...]
    definitions: tuple[DefinitionEstimate, ...]
    total: Total

    @property
    def refused(self) -> tuple[Diagnostic, ...]:
        """Why rules are refused."""
        return tuple(rule.refused for rule in self.rules if rule.refused is not None)

    def __repr__(self) -> str:
        head, rows = self._table()
        table = f"\n{text_table(head, rows)}" if rows else ""
        return f"Plan({self._atoms()}; {len(self.warnings)} warnings){table}"

    def _repr_html_(self) -> str:
        told = html_lines((one.message for one in (*self.refused, *self.warnings)), "Warnings:")
        return html_cell(f"Plan: {self._atoms()}", html_table(*self._table()), told)

    def _atoms(self) -> str:
        return f"{listed(f'{count:,} {name}' for name, count in self.atoms.items())} atoms"

    def _table(self) -> tuple[list[str], list[list[object]]]:
        """Definitions and rules, the costliest rules first, and what they come to."""
        rules = sorted(self.rules, key=lambda rule: -rule.rows)
        rows: list[list[object]] = [["all", self.total.rows, *_cost(self.total), ""]]
        rows += [[d.definition, d.rows, *_cost(d), "definition"] for d in self.definitions]
        rows += [[r.rule, r.rows, *_cost(r), " x ".join(r.joins)] for r in rules]
        return ["", "rows", "MB", "seconds", "join"], rows if len(rows) > 1 else []


def _cost(one: RuleEstimate | DefinitionEstimate | Total) -> tuple[float, float]:
    return one.bytes / 1e6, one.seconds


def plan(
    program: Program,
    data: Dataset,
    limit: int = DEFAULT_LIMIT,
    *,
    memory_limit: str = "4GB",
    refuse: bool = True,
) -> Plan:
    r"""Rows, bytes and seconds of every rule, found without grounding it.

    Args:
        program: checked program.
        data: tables bound to it.
        limit: most rows a rule, or atoms a predicate, may have.
        memory_limit: of the relational engine.
        refuse: raise where a rule is over the limit, rather than list it as refused.

    Raises:
        GroundingError: KR640 for too many atoms; KR647 with a finding a refused rule.

    Example:
        >>> from knowreason.lang import loads
        >>> program = loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> [(rule.rule, rule.rows) for rule in plan(program, Dataset.from_frames(program)).rules]
        [('rare', 1)]
    """
    with Relations(program, data, memory_limit=memory_limit) as relations:
        table = open_atoms(program, data, limit, relations)
        plans = [plan_rule(program, index) for index in range(len(program.rules))]
        queries = [rule_query(relations, rule) for rule in plans]
        rules = tuple(
            _estimate(rule, query, limit) for rule, query in zip(plans, queries, strict=True)
        )
        warnings = tuple(
            warning
            for rule, query, estimate in zip(plans, queries, rules, strict=True)
            for warning in warnings_of(
                rule, table, data, _amount(query, rule, estimate.rows, limit)
            )
        )
        definitions = tuple(
            _definition(name, relations)
            for name in (definition.name for definition in program.definitions)
            if name in relations.computed
        )
    atoms = {name: span.count for name, span in table.spans.items()}
    estimates = Plan(
        atoms, rules, warnings, definitions, _total(program, table, rules, definitions)
    )
    if refuse and estimates.refused:
        raise GroundingError(diagnostics=estimates.refused)
    return estimates


def rule_query(relations: AnyRelations, rule: RulePlan) -> Listing:
    """The query for a rule's groundings."""
    feature = rule.rule.weight.feature
    terms: tuple[Term, ...] = () if feature is None else (feature,)
    if rule.directed is not None:
        terms += rule.directed.right.arguments
    curved = rule.directed is not None or rule.neutral is not None
    only_open = not curved and rule.rule.weight.kind != "hard"
    counted = None if isinstance(relations, Relations) else relations.counted.get(rule.index)
    return listing(
        relations,
        rule.guards,
        rule.rule.variables,
        rule.residual,
        terms,
        only_open=only_open,
        must_be_open=None if counted is None else counted.member,
    )


def checked_size(query: Listing, limit: int) -> RowCount:
    """Number of rows of a query; where it is close to the limit, at most one more is counted."""
    if query.conjunction is None:  # rows are there
        rows = sum(frame.rows for frame in query.frames())
        return RowCount(rows, True, "counted", rows)
    size = count_rows(query.database, query.conjunction)
    if size.exact or not limit < SURELY * size.rows <= SURELY**2 * limit:
        return size
    rows = query.database.rows(query.tree.copy().limit(limit + 1))
    if rows <= limit:
        return RowCount(rows, True, "counted", size.joined)
    return replace(size, rows=max(rows, size.rows), exact=False)


def warnings_of(
    rule: RulePlan, atoms: AtomTable, data: Dataset, amount: float
) -> Iterator[Diagnostic]:
    """Weights that add up, counts that tie everything, weights nothing can teach.

    Args:
        rule: a planned rule.
        atoms: open atoms.
        data: for the sizes of domains.
        amount: sum of the absolute feature values of its groundings.
    """
    name, span = rule.rule.name, rule.rule.span
    if rule.decided:
        if rule.rule.weight.is_learned:
            yield Diagnostic(
                "KR662",
                f"no unknown stands in rule `{name}`, so its weight cannot be learned",
                "warning",
                span,
            )
        return
    load = _weight_an_atom(rule, atoms, amount)
    if load is not None and load[1] > TOO_MUCH:
        predicate, weight = load
        yield Diagnostic(
            "KR660",
            f"rule `{name}` adds up to a weight of about {weight:.0f} on an atom of `{predicate}`",
            "warning",
            span,
            help="divide by the number of neighbours, `[? * 1 / peers(x)]`, or give the group an "
            "unknown of its own",
        )
    for tally in _tallies(rule.residual):
        if tally.variables and not outer_variables(tally):
            size = prod(len(data.vocabularies[v.sort]) for v in tally.variables)
            if size > MANY_ENTRIES:
                yield Diagnostic(
                    "KR661",
                    f"the count of rule `{name}` ties all its atoms into one component",
                    "warning",
                    span,
                    help="count within a group: use a variable of the rule inside the count",
                )


def _estimate(rule: RulePlan, query: Listing, limit: int) -> RuleEstimate:
    data = query.relations.data
    size = checked_size(query, limit)
    refused = too_large(rule, size.rows, limit, data) if size.rows > limit else None
    literals = leaves(rule.residual)
    width = len(rule.rule.variables) + len(literals) + 1
    listed = {p.name for p in query.relations.program.open_predicates if p.within is not None}
    found = sum(isinstance(one, OpenLiteral) and one.atom.predicate in listed for one in literals)
    return RuleEstimate(
        rule=rule.rule.name,
        rows=size.rows,
        exact=size.exact,
        how=size.how,
        bytes=4 * width * size.rows,
        seconds=SECONDS_A_RULE
        + (SECONDS_A_ROW + SECONDS_A_FOUND_ATOM * found) * size.rows
        + SECONDS_A_JOINED_ROW * size.joined,
        joins=_join_texts(rule, data),
        refused=refused,
    )


def _total(
    program: Program,
    table: AtomTable,
    rules: tuple[RuleEstimate, ...],
    definitions: tuple[DefinitionEstimate, ...],
) -> Total:
    parts: tuple[RuleEstimate | DefinitionEstimate, ...] = (*rules, *definitions)
    listed = [p.name for p in program.open_predicates if p.within is not None]
    candidates = sum(table.spans[name].count for name in listed)
    ids = sum(span.arguments.nbytes for span in table.spans.values())
    return Total(
        sum(rule.rows for rule in rules),
        sum(part.bytes for part in parts) + ids,
        sum(part.seconds for part in parts) + SECONDS_A_CANDIDATE * candidates,
    )


def _definition(name: str, relations: Relations) -> DefinitionEstimate:
    arguments = len(relations.program.sorts_of(name))
    rows = relations.rows(exp.select(exp.Star()).from_(relations.table(name)))
    formula = isinstance(relations.program.definition(name).body, Formula)
    width = 4 * arguments + (0 if formula else 8)
    return DefinitionEstimate(name, rows, width * rows, relations.seconds.get(name, 0.0))


def _join_texts(rule: RulePlan, data: Dataset) -> tuple[str, ...]:
    ranges = ranging_variables(rule.guards, rule.rule.variables)
    return (
        *(formula_text(guard) for guard in rule.guards),
        *(f"{v.name} over {v.sort} ({len(data.vocabularies[v.sort]):,})" for v in ranges),
    )


def _weight_an_atom(rule: RulePlan, atoms: AtomTable, amount: float) -> tuple[str, float] | None:
    """Predicate of the rule whose atoms carry the least weight, and how much.

    A hub may carry many groundings when each of its members carries one; a rule that
    piles up on every predicate it speaks of is the one to warn about.
    """
    if rule.rule.weight.kind == "hard":
        return None
    total = abs(rule.rule.weight.prior_mean) * amount
    if rule.directed is not None:  # bodies carry nothing
        loaded = [rule.directed.right]
    else:
        loaded = [leaf.atom for leaf in leaves(rule.residual) if isinstance(leaf, OpenLiteral)]
    counts = {atom.predicate: atoms.spans[atom.predicate].count for atom in loaded}
    loads = {name: total / count for name, count in counts.items() if count}
    return min(loads.items(), key=lambda item: item[1]) if loads else None


def _amount(query: Listing, rule: RulePlan, rows: int, limit: int) -> float:
    """Sum of the absolute feature values of a rule's groundings, where they will be grounded."""
    feature = rule.rule.weight.feature
    if feature is None or feature not in query.terms or rows > limit:
        return float(rows)
    total = exp.Sum(this=exp.Abs(this=column("q", query.terms[feature])))
    tree = exp.select(total.as_("amount")).from_(query.tree.copy().subquery("q"))
    return float(query.database.arrow(tree).read_all()["amount"][0].as_py() or 0.0)


def _tallies(node: Node) -> Iterator[OpenCount]:
    for leaf in leaves(node):
        if isinstance(leaf, OpenCount):
            yield leaf
            for entry in leaf.entries:
                yield from _tallies(entry)
