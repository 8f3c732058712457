"""Probabilistic soft logic as a project: soft truth becomes true or false, or scales a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.compute as pc

from knowreason import logic as lg
from knowreason.diagnostics import Source, Span
from knowreason.errors import ProjectError
from knowreason.importers.imported_project import Draft, Rows, weight_of
from knowreason.importers.psl.psl_data import PslData, PslPredicate, read_data
from knowreason.importers.psl.psl_syntax import Linear, PslRule, read_rules, rule_lines
from knowreason.logic.traversal import conjuncts, walk


def import_psl(paths: Sequence[Path], draft: Draft) -> None:
    """Reads rules and data of PSL into a draft.

    Raises:
        ProjectError: KR971 for no rules, KR973 for data that are not as PSL has them.
    """
    files = [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    if len(files) == 1 and files[0].suffix == ".psl":
        files += [f for f in [files[0].with_suffix(".data")] if f.is_file()]
    rule_files = [file for file in files if file.suffix == ".psl"]
    data = PslData()
    spans: list[tuple[Span, str]] = []
    for file in files:
        if file.suffix in (".data", ".json"):
            found = read_data(file)
            data.predicates.update(found.predicates)
            source = Source(str(file), file.read_text(encoding="utf-8-sig"))
            for line in found.rules:
                start = max(source.text.find(line), 0)
                spans.append((Span(source, start, start + len(line)), line))
            _tell_data(draft, source, found)
    for file in rule_files:
        source = Source(str(file), file.read_text(encoding="utf-8-sig"))
        spans += rule_lines(source)
    if not spans:
        listed = ", ".join(f"`{path}`" for path in paths)
        help = "rules are in a `.psl` file, or in a `.json` file beside the data"
        raise ProjectError(f"there are no rules in {listed}", code="KR971", help=help)
    rules = list(read_rules(draft.report, spans))
    _complete(data, rules)
    marks = _functional(draft, data, rules)
    _declare(draft, data, rules, marks)
    soft = {p.name for p in data.predicates.values() if p.closed and _is_soft(p)}
    for span, rule in rules:
        _add(draft, data, span, rule, soft)


def _tell_data(draft: Draft, source: Source, data: PslData) -> None:
    for key in data.ignored:
        at = max(source.text.find(key), 0)
        why = "it says how PSL runs, not what holds"
        draft.report.add(Span(source, at, at + len(key)), reason=why, refused=True)
    for predicate in data.predicates.values():
        counts = {
            part: sum(len(table) for table in tables) for part, tables in predicate.rows.items()
        }
        at = max(source.text.find(predicate.name), 0)
        told = ", ".join(f"{count:,} {part}" for part, count in counts.items())
        why = "\n".join(_said_of_rows(predicate))
        span = Span(source, at, at + len(predicate.name))
        draft.report.add(span, f"`{predicate.name}`: {told or 'no rows'}", why)


def _said_of_rows(predicate: PslPredicate) -> list[str]:
    if not _is_soft(predicate):
        return []
    if predicate.closed:
        return [
            "its values lie between 0 and 1: true where above 0; in the body of a weighted rule"
            " the value multiplies the weight"
        ]
    return ["values between 0 and 1 of an open predicate: true from 0.5 on"]


def _is_soft(predicate: PslPredicate) -> bool:
    parts = ("observations",) if predicate.closed else ("observations", "truth")
    return any(
        not pc.all(pc.is_in(table["value"], pa.array([0.0, 1.0]))).as_py()
        for part in parts
        for table in predicate.rows.get(part, ())
        if len(table)
    )


def _complete(data: PslData, rules: list[tuple[Span, PslRule]]) -> None:
    """Predicates that no data file declares: open where a rule concludes them."""
    for _, rule in rules:
        for atom in rule.atoms:
            new = PslPredicate(atom.predicate, len(atom.arguments), closed=bool(data.predicates))
            data.predicates.setdefault(atom.predicate.lower(), new)


# ---------------------------------------------------------------- declarations


def _functional(
    draft: Draft, data: PslData, rules: list[tuple[Span, PslRule]]
) -> dict[tuple[str, int], str]:
    """Argument places that `P(A, +B) = 1 .` makes functional; such rules are told and removed."""
    marks: dict[tuple[str, int], str] = {}
    for span, rule in list(rules):
        if rule.weight is not None or not isinstance(rule.body, tuple):
            continue
        left, operator, right = rule.body
        if len(left.atoms) != 1 or right.atoms or (right.number, left.number) != (1.0, 0.0):
            continue
        ((coefficient, atom),) = left.atoms
        names = [one.name for one in atom.arguments if isinstance(one, lg.Variable)]
        plain = len(set(names)) == len(atom.arguments)
        predicate = data.predicates[atom.predicate.lower()]
        marked = any(name == predicate.name for name, _ in marks)
        fits = coefficient == 1 and operator in ("=", "<=") and len(rule.summed) == 1 and plain
        if fits and not predicate.closed and predicate.rows and not marked:
            place, mark = names.index(rule.summed[0]), "!" if operator == "=" else "?"
            marks[predicate.name, place] = mark
            rules.remove((span, rule))
            often = "exactly" if mark == "!" else "at most"
            told = f"argument {place + 1} of `{predicate.name}` is marked `{mark}`"
            draft.report.add(span, told, f"sums of truths are counts: {often} one is true")
    return marks


def _declare(
    draft: Draft,
    data: PslData,
    rules: list[tuple[Span, PslRule]],
    marks: dict[tuple[str, int], str],
) -> None:
    domains = _domains(draft, data, rules)
    for predicate in data.predicates.values():
        name = draft.names.of("predicate", predicate.name)
        sorts = [domains[predicate.name, place] for place in range(predicate.arity)]
        if predicate.closed:
            draft.predicates.append(_predicate(name, "observed", sorts))
            _fill_closed(draft, predicate, name, sorts)
            continue
        signs = [marks.get((predicate.name, place), "") for place in range(predicate.arity)]
        query = _predicate(name, "query", sorts, signs)
        if predicate.rows:
            listed = draft.names.of("predicate", f"{predicate.name}Listed")
            query = replace(query, within=listed)
            draft.predicates.append(_predicate(listed, "observed", sorts))
            _fill_open(draft, predicate, name, listed)
        draft.predicates.append(query)


def _predicate(name: str, kind: Any, sorts: list[str], signs: Sequence[Any] = ()) -> lg.Predicate:
    marks = signs or [""] * len(sorts)
    places = (lg.Argument(s, None, m) for s, m in zip(sorts, marks, strict=True))
    return lg.Predicate(name, kind, tuple(places))


def _domains(
    draft: Draft, data: PslData, rules: list[tuple[Span, PslRule]]
) -> dict[tuple[str, int], str]:
    """Domain of each argument place: places that a variable joins have one."""
    graph: nx.Graph[Any] = nx.Graph()
    known = data.predicates
    for predicate in known.values():
        graph.add_nodes_from((predicate.name, place) for place in range(predicate.arity))
    for number, (_, rule) in enumerate(rules):
        for atom in rule.atoms:
            for place, term in enumerate(atom.arguments):
                if isinstance(term, lg.Variable):
                    graph.add_edge((known[atom.predicate.lower()].name, place), (number, term.name))
        for node in walk(rule.body) if not isinstance(rule.body, tuple) else ():
            if isinstance(node, lg.Comparison) and isinstance(node.left, lg.Variable):
                for term in (node.left, node.right):
                    if isinstance(term, lg.Variable):
                        graph.add_edge((number, node.left.name), (number, term.name))
    parts = [
        [place for place in part if isinstance(place[0], str)]
        for part in nx.connected_components(graph)
    ]
    parts = [sorted(part) for part in parts if part]
    names = {}
    for part in parts:
        base = "Thing" if len(parts) == 1 else f"{part[0][0]}{part[0][1] + 1}"
        for place in part:
            names[place] = draft.names.of("domain", base)
    return names


# ---------------------------------------------------------------- rows


def _fill_closed(draft: Draft, predicate: PslPredicate, name: str, sorts: list[str]) -> None:
    if not predicate.rows:
        return
    table = pa.concat_tables([t for tables in predicate.rows.values() for t in tables])
    true = table.filter(pc.greater(table["value"], 0.0))
    draft.rows[name] = Rows(_things(true))
    for sort, column in zip(sorts, _things(table), strict=True):
        draft.members.setdefault(sort, []).extend(pc.unique(column).to_pylist())
    if _is_soft(predicate):
        attribute = draft.names.of("attribute", f"{predicate.name} value")
        draft.attributes.append(lg.Attribute(attribute, tuple(map(lg.Argument, sorts)), "float"))
        draft.rows[attribute] = Rows(_things(true), {"value": true["value"].combine_chunks()})


def _fill_open(draft: Draft, predicate: PslPredicate, name: str, listed: str) -> None:
    table = pa.concat_tables([t for tables in predicate.rows.values() for t in tables])
    columns = [column for column in table.column_names if column != "value"]
    draft.rows[listed] = Rows(_things(table.select(columns).group_by(columns).aggregate([])))
    known = {
        key: pa.concat_tables(predicate.rows[part])
        for part, key in (("observations", "evidence"), ("truth", "label"))
        if part in predicate.rows
    }
    if not known:
        return
    joined = pa.concat_tables(
        [
            t.append_column(key, pc.greater_equal(t["value"], 0.5)).drop_columns(["value"])
            for key, t in known.items()
        ],
        promote_options="default",
    )
    values = {key: joined[key].combine_chunks() for key in known}
    draft.rows[name] = Rows(_things(joined.select(columns)), values)


def _things(table: pa.Table) -> list[pa.Array]:
    names = (name for name in table.column_names if name != "value")
    return [table[name].combine_chunks() for name in names]


# ---------------------------------------------------------------- rules


def _add(draft: Draft, data: PslData, span: Span, rule: PslRule, soft: set[str]) -> None:
    why = []
    weight = weight_of(float("inf"))
    if rule.weight is not None:
        if rule.weight < 0:
            draft.report.add(span, reason="PSL has no negative weights", refused=True)
            return
        weight = lg.Weight("open", rule.weight, ">=")
        why.append("the weight is where learning starts: truth is soft in PSL, and not here")
        why += ["`^2` is left out: it shapes how soft truth is penalised"] * rule.squared
    elif not rule.hard:
        why.append("it has neither a weight nor a full stop: taken for hard")
    if isinstance(rule.body, tuple):
        formula = None if rule.weight is not None else _constraint(rule.body, rule.summed)
        if formula is None:
            draft.report.add(span, reason=_UNSAID, refused=True)
            return
        why.append("sums of truths are counts of what is true")
    else:
        formula = rule.body
    formula = _as_declared(formula, data)
    factors = _soft_factors(formula, {name.lower() for name in soft}) if rule.weight else []
    renamed = draft.names.renamed(formula)
    if factors:
        terms = [
            lg.AttributeTerm(
                draft.names.of("attribute", f"{atom.predicate} value"),
                tuple(map(draft.names.renamed, atom.arguments)),
                "float",
            )
            for atom in factors
        ]
        feature: lg.Term = terms[0]
        for term in terms[1:]:
            feature = lg.Operation("*", (feature, term), "float")
        weight = replace(weight, feature=feature)
        why.append("soft values of facts multiply the weight")
    draft.add_rule(span, weight, renamed, "\n".join(why))


_UNSAID = (
    "it is arithmetic: hard sums of atoms with coefficient 1, compared with a whole number or"
    " with one atom, are counts here; other sums of soft truths mean nothing of true and false"
)


def _soft_factors(formula: lg.Formula, soft: set[str]) -> list[lg.Atom]:
    """Soft atoms of the body that are not negated."""
    if not isinstance(formula, lg.Implies):
        return []
    return [
        part
        for part in conjuncts(formula.left)
        if isinstance(part, lg.Atom) and part.predicate.lower() in soft
    ]


def _constraint(body: tuple[Linear, str, Linear], summed: tuple[str, ...]) -> lg.Formula | None:
    """A hard arithmetic rule over true and false, where it can be said."""
    left, operator, right = body
    if any(abs(coefficient) != 1 for coefficient, _ in (*left.atoms, *right.atoms)):
        return None
    signed = [*left.atoms, *((-c, atom) for c, atom in right.atoms)]
    bound = right.number - left.number
    plus = [atom for coefficient, atom in signed if coefficient > 0]
    minus = [atom for coefficient, atom in signed if coefficient < 0]
    if len(plus) == len(minus) == 1 and bound == 0 and not summed:
        one, other = plus[0], minus[0]
        if operator == "=":
            return lg.Iff(one, other)
        return lg.Implies(one, other) if operator == "<=" else lg.Implies(other, one)
    if minus or bound != int(bound):
        return None
    if len(plus) == 1 and not summed and operator == "=" and bound in (0, 1):
        return plus[0] if bound == 1 else lg.Not(plus[0])
    number = lg.Constant(int(bound), "int")
    count: lg.Term = lg.CountList(tuple(plus))
    if summed:
        if len(plus) != 1:
            return None
        variables = tuple(lg.Variable(name, "") for name in summed)
        count = lg.Aggregate("count", None, variables, plus[0], "int")
    return lg.Comparison(operator, count, number)  # type: ignore[arg-type]  # by grammar


def _as_declared(formula: lg.Formula, data: PslData) -> lg.Formula:
    """Predicates as the data file spells them; PSL does not look at capitals."""

    def spelled(node: Any) -> Any:
        if isinstance(node, tuple):
            return tuple(map(spelled, node))
        if isinstance(node, lg.Atom):
            return replace(node, predicate=data.predicates[node.predicate.lower()].name)
        if isinstance(node, lg.Not):
            return replace(node, operand=spelled(node.operand))
        if isinstance(node, lg.And | lg.Or):
            return replace(node, operands=spelled(node.operands))
        if isinstance(node, lg.Implies | lg.Iff | lg.Comparison):
            return replace(node, left=spelled(node.left), right=spelled(node.right))
        if isinstance(node, lg.Aggregate):
            return replace(node, body=spelled(node.body))
        return (
            replace(node, formulas=spelled(node.formulas))
            if isinstance(node, lg.CountList)
            else node
        )

    renamed: lg.Formula = spelled(formula)
    return renamed
