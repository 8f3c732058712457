"""A program and its data as files of Markov logic, `.mln` and `.db`.

Alchemy, Tuffy and LoMRF share a weight among the clauses of its formula. What is one clause, or the
negation of one, is written as that; any other weighted formula gets a predicate of its own, which a
hard rule makes equivalent to it, and the weight is on that predicate: the distribution is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from knowreason import logic as lg
from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.diagnostics import Diagnostic
from knowreason.errors import ProjectError
from knowreason.importers.mln.clauses import clauses
from knowreason.logic.canonical_text import rule_text
from knowreason.logic.traversal import free_variables, walk

_CLASHES = {"v": "v_"}  # a word of that language


def mln_texts(data: Dataset) -> tuple[str, str]:
    """The text of an `.mln` file and that of its `.db` file.

    ``*`` before a declaration says that what is not listed is false, as in Tuffy. Weights are those
    that rules start from.

    Args:
        data: facts, evidence and the program; labels are left out, and things are listed.

    Raises:
        ProjectError: KR974 for each rule that Markov logic cannot say.
    """
    program = data.program
    faults = [_fault(f"model `{model.name}`", "it is no rule", model) for model in program.models]
    crisp: list[lg.Attribute | lg.Definition] = [*program.attributes, *program.definitions]
    faults += [_fault(f"`{one.name}`", "it is no listed predicate", one) for one in crisp]
    writer = _Writer()
    rules: list[str] = []
    for rule in program.rules:
        try:
            rules += writer.rule(rule)
        except _Unsaid as why:
            faults.append(_fault(rule_text(rule), str(why), rule))
    if faults:
        raise ProjectError(diagnostics=faults)
    lines = ["// Written by `knowreason export --format mln`. `*`: what is not listed is false."]
    lines += [
        f"{_type(name)} = {{{', '.join(map(_quoted, vocabulary.names.to_pylist()))}}}"
        for name, vocabulary in data.vocabularies.items()
        if len(vocabulary)
    ]
    lines += map(_declaration, program.predicates)
    lines += writer.declarations
    for predicate in program.predicates:
        if predicate.within:
            variables = [f"x{i}" for i in program.candidate_places(predicate)]
            every = ", ".join(f"x{i}" for i in range(predicate.arity))
            listed = f"{predicate.within}({', '.join(variables)})"
            lines.append(f"{predicate.name}({every}) => {listed}.")
    return "\n".join([*lines, "", *rules]) + "\n", "".join(_atom_lines(data))


class _Unsaid(Exception):
    """Why a formula is none of Markov logic."""


def _fault(what: str, why: str, statement: object) -> Diagnostic:
    span = getattr(statement, "span", None)
    return Diagnostic("KR974", f"Markov logic cannot say {what}: {why}", span=span)


@dataclass
class _Writer:
    declarations: list[str] = field(default_factory=list)
    _fresh: int = 0

    def rule(self, rule: lg.Rule) -> Iterator[str]:
        """Lines of one rule, soft or hard."""
        weight, formula = rule.weight, rule.formula
        if weight.feature is not None:
            raise _Unsaid("a number multiplies its weight")
        plus = frozenset(variable.name for variable in weight.per)
        if weight.kind == "hard":
            yield f"{self.text(formula)}."
            return
        value = weight.prior_mean
        for sign, written in ((1.0, formula), (-1.0, lg.Not(formula))):
            parts = clauses(written)
            if parts is not None and len(parts) == 1 and _same_groundings(parts[0], rule):
                yield f"{sign * value!r} {self.text(parts[0], plus)}"
                return
        name = f"Formula_{rule.name}"
        sorts = ", ".join(_type(variable.sort) for variable in rule.variables)
        self.declarations.append(f"{name}({sorts})" if sorts else name)
        head = lg.Atom(name, rule.variables)
        yield f"{self.text(head)} <=> {self.text(formula)}."
        yield f"{value!r} {self.text(head, plus)}"

    def text(self, node: lg.Formula | lg.Term, plus: frozenset[str] = frozenset()) -> str:
        """A formula in parentheses wherever dialects might differ."""
        match node:
            case lg.Variable():
                return "+" * (node.name in plus) + _CLASHES.get(node.name, node.name)
            case lg.Constant() if isinstance(node.value, str):
                return _quoted(node.value)
            case lg.Atom():
                return self._atom(node, plus)
            case lg.Not():
                return f"!{self.text(node.operand, plus)}"
            case lg.And() | lg.Or():
                sign = " ^ " if isinstance(node, lg.And) else " v "
                return f"({sign.join(self.text(part, plus) for part in node.operands)})"
            case lg.Implies() | lg.Iff():
                sign = "=>" if isinstance(node, lg.Implies) else "<=>"
                return f"({self.text(node.left, plus)} {sign} {self.text(node.right, plus)})"
            case lg.ForAll() | lg.Exists():
                word = "FORALL" if isinstance(node, lg.ForAll) else "EXIST"
                names = ",".join(map(self.text, node.variables))
                return f"({word} {names} ({self.text(node.body, plus)}))"
            case lg.Comparison() if node.operator in ("=", "!="):
                left, right = self.text(node.left), self.text(node.right)
                equal = f"({left} = {right})"
                return equal if node.operator == "=" else f"!{equal}"
        raise _Unsaid(f"it has {_KINDS.get(type(node), 'a number or a function')}")

    def _atom(self, atom: lg.Atom, plus: frozenset[str]) -> str:
        terms, some = [], []
        for term in atom.arguments:
            if isinstance(term, lg.Wildcard):
                self._fresh += 1
                some.append(f"some{self._fresh}")
                terms.append(some[-1])
            else:
                terms.append(self.text(term, plus))
        written = f"{atom.predicate}({', '.join(terms)})" if terms else atom.predicate
        return f"(EXIST {','.join(some)} ({written}))" if some else written


_KINDS: dict[type, str] = {
    lg.Directed: "a direction (`~>`)",
    lg.Neutral: "an association (`<~>`)",
    lg.Truth: "`true` or `false`",
    lg.Comparison: "a comparison of numbers",
}


def _same_groundings(clause: lg.Formula, rule: lg.Rule) -> bool:
    """Whether a clause is grounded as its rule is; quantifiers become clauses elsewhere."""
    quantified = any(isinstance(n, lg.ForAll | lg.Exists | lg.Wildcard) for n in walk(clause))
    return not quantified and set(free_variables(clause)) == set(rule.variables)


def _declaration(predicate: lg.Predicate) -> str:
    types = (_type(one.sort) + one.functional for one in predicate.arguments)
    star = "*" * (not predicate.is_open)
    return f"{star}{predicate.name}({', '.join(types)})" if predicate.arity else predicate.name


def _type(domain: str) -> str:
    return domain[0].lower() + domain[1:]


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _atom_lines(data: Dataset) -> Iterator[str]:
    """Facts, and evidence of open predicates, a line each."""
    tables: list[tuple[str, Any]] = [*data.facts.items(), *data.evidence.items()]
    for name, table in tables:
        sorts = data.program.sorts_of(name)
        if not sorts or not table.num_rows:
            continue
        columns = [
            _quoted_column(data.vocabularies[sort].names.take(pa.array(ids)))
            for sort, ids in zip(sorts, id_columns(table), strict=True)
        ]
        sign: Any = ""
        if VALUE in table.column_names:
            sign = pc.if_else(pc.cast(table[VALUE], pa.bool_()), "", "!")
        inner = pc.binary_join_element_wise(*columns, ", ")
        lines = pc.binary_join_element_wise(sign, name, "(", inner, ")\n", "")
        yield "".join(lines.to_pylist())


def _quoted_column(names: pa.Array) -> pa.Array:
    escaped = pc.replace_substring_regex(pc.cast(names, pa.string()), r'(["\\])', r"\\\1")
    return pc.binary_join_element_wise('"', escaped, '"', "")
