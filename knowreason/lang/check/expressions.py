"""Second look at an expression: build formulas and terms, checking every sort.

A fault is reported and the part it spoils becomes ``None``, which silences what would only
follow from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.aggregate_terms import aggregate, count_list
from knowreason.lang.check.built_in_calls import built_in, month_step, months_of
from knowreason.lang.check.call_arguments import constant, place_arguments
from knowreason.lang.check.comparisons import comparisons, conditional, membership
from knowreason.lang.check.symbols import Names, Signature, a_sort, is_capital, is_thing
from knowreason.lang.check.units import combine, function_sort
from knowreason.lang.check.variable_scopes import (
    BoundVariable,
    Frame,
    Scope,
    knows_sort,
    upper_case_variable,
    variable,
)
from knowreason.lang.syntax import foreign_words as fw
from knowreason.lang.syntax import nodes as sx
from knowreason.logic.formulas import Combination

_CONNECTED: dict[str, type[lg.Implies] | type[lg.Iff] | type[lg.Neutral]] = {
    "=>": lg.Implies,
    "<=>": lg.Iff,
    "<~>": lg.Neutral,
}


@dataclass
class Builder:
    """Builds what one statement says.

    Attributes:
        crisp: the statement that admits no unknowns (``"a definition"``), or empty.
        opens: a span for each open atom met, in order; known labels are none.
        frames: variables of the binders around the present place.
        aggregates: how many aggregates are around the present place.
    """

    names: Names
    scope: Scope
    crisp: str = ""
    opens: list[Span] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    aggregates: int = 0

    # ------------------------------------------------------------ formulas

    def formula(self, node: sx.Expression) -> lg.Formula | None:
        """The formula a node says, or ``None`` where it is faulty."""
        match node:
            case sx.Call():
                return self._call_formula(node)
            case sx.Connective():
                return self._connective(node)
            case sx.NotNode():
                operand = self.formula(node.operand)
                return None if operand is None else lg.Not(operand, span=node.span)
            case sx.Chain():
                return comparisons(self, node)
            case sx.MemberNode():
                return membership(self, node)
            case sx.Quantified():
                return self._quantified(node)
            case sx.LiteralNode(kind="bool"):
                return lg.Truth(cast(bool, node.value), span=node.span)
        return self._boolean(node)

    def _connective(self, node: sx.Connective) -> lg.Formula | None:
        left, right = self.formula(node.left), self.formula(node.right)
        if left is None or right is None:
            return None
        if node.operator.startswith("~>"):
            return self._directed(node, left, right)
        if node.operator == "<~>" and self.crisp:
            self.names.report(
                "KR414",
                f"`<~>` is no part of {self.crisp}: it ties unknowns, in a rule",
                node.span,
                help="write `<=>` between what is observed",
            )
            return None
        if node.operator in _CONNECTED:
            return _CONNECTED[node.operator](left, right, span=node.span)
        kind = lg.And if node.operator == "&" else lg.Or
        parts: list[lg.Formula] = []
        for side in (left, right):
            parts.extend(
                side.operands
                if isinstance(side, (lg.And, lg.Or)) and side.__class__ is kind
                else [side]
            )
        return kind(tuple(parts), span=node.span)

    def _directed(
        self, node: sx.Connective, body: lg.Formula, head: lg.Formula
    ) -> lg.Formula | None:
        if self.crisp or not isinstance(head, lg.Atom):
            what = f"no part of {self.crisp}" if self.crisp else "followed by an atom"
            self.names.report(
                "KR415",
                f"`~>` is {what}: it says what a body does to an unknown, in a rule",
                node.span,
            )
            return None
        how = node.operator.removeprefix("~>").strip() or "sum"
        return lg.Directed(body, head, cast(Combination, how), span=node.span)

    def _quantified(self, node: sx.Quantified) -> lg.Formula | None:
        frame = self.scope.binders[id(node)]
        self.frames.append(frame)
        body = self.formula(node.body)
        self.frames.pop()
        variables = _variables(frame)
        if body is None or variables is None:
            return None
        kind = lg.ForAll if node.kind == "forall" else lg.Exists
        return kind(variables, body, span=node.span)

    def _call_formula(self, node: sx.Call) -> lg.Formula | None:
        if not is_capital(node.name):
            return self._boolean(node)
        signature = self._signature(node, "predicate")
        arguments = self._arguments(node, signature, wild=True)
        if signature is None or arguments is None:
            return None
        if signature.is_open:
            if not self.crisp:
                self.opens.append(node.span)
            elif not self.aggregates or signature.kind != "query":
                self._refuse_open(node, signature)
        return lg.Atom(node.name, arguments, span=node.span)

    def _refuse_open(self, node: sx.Call, signature: Signature) -> None:
        help = "for what is unknown, declare a `latent` predicate and tie it with a hard `<=>`"
        if signature.kind == "query" and self.crisp == "a definition":
            help = (
                f"known labels stand in an aggregate, as in `count {{ .. : {node.name}(..) }}`; "
                + help
            )
        self.names.report(
            "KR408",
            f"`{node.name}` is unknown, and {self.crisp} is made of what is observed",
            node.span,
            f"a {signature.kind} predicate",
            related=[(signature.span, "declared here")],
            help=help,
        )

    def _boolean(self, node: sx.Expression) -> lg.Formula | None:
        term = self.term(node)
        if term is None:
            return None
        if term.sort != "bool":
            help = "compare it with something, as in `... > 0`; *at least* is `>=`"
            symbol = self.names.symbols.get(node.name) if isinstance(node, sx.Call) else None
            if symbol is not None and symbol.asked:
                help = (
                    f"a model estimates `{symbol.name}`, rules read it: write "
                    f"`{symbol.name}(..) > 0`, or `[? * {symbol.name}(..)]` as the weight"
                )
            elif is_thing(term.sort):
                help = "put it into a predicate"
            self.names.report(
                "KR212",
                f"{a_sort(term.sort)} stands where a formula is expected",
                node.span,
                "neither true nor false",
                help=help,
            )
            return None
        return lg.BooleanTerm(term, span=node.span)

    # ------------------------------------------------------------ terms

    def term(
        self, node: sx.Expression, expected: str | None = None, direct: bool = False
    ) -> lg.Term | None:
        """The term a node says, or ``None`` where it is faulty.

        ``expected`` is the sort its place asks for; ``direct`` says that it is one whole side
        of a comparison, where unknowns may be counted.
        """
        match node:
            case sx.Name():
                return self._name(node, expected)
            case sx.LiteralNode():
                return constant(self.names, node, expected)
            case sx.Call():
                return self._call_term(node)
            case sx.Binary() | sx.Negative() | sx.FunctionCall():
                return self._operation(node)
            case sx.AggregateNode() | sx.CountListNode():
                return self._counted(node, direct)
            case sx.Choosing():
                return conditional(self, node, expected)
            case sx.Wild():
                message = "`_` stands only as an argument of a predicate"
                self.names.report("KR110", message, node.span)
            case _:
                self._no_value(node)
        return None

    def _no_value(self, node: sx.Expression) -> None:
        help = "`count { A(x), B(x) }` makes a number of formulas"
        if isinstance(node, sx.Call):
            help = f"it is true or false by itself: write `{node.name}(...)` or `!{node.name}(...)`"
        self.names.report(
            "KR212",
            "a formula stands where a value is expected",
            node.span,
            "true or false, not a value",
            help=help,
        )

    def _name(self, node: sx.Name, expected: str | None) -> lg.Term | None:
        name = node.text
        bound = self._find(name)
        if bound is not None:
            return variable(bound, node.span) if knows_sort(bound) else None
        symbol = self.names.symbols.get(name)
        if symbol is not None and symbol.kind == "param":
            return self._parameter(node, symbol, expected)
        if is_capital(name):
            upper_case_variable(self.names, node)
        elif name not in self.names.broken:
            self.names.unknown("name", name, node.span, self.names.symbols, "KR201")
        return None

    def _find(self, name: str) -> BoundVariable | None:
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        return self.scope.free.get(name)

    def _parameter(
        self, node: sx.Name, symbol: Signature, expected: str | None
    ) -> lg.ParameterTerm | None:
        sort = symbol.result
        if sort is None:
            return None
        literal = self.names.literals.get(node.text)
        pliant = literal == "string" and (expected == "time" or is_thing(expected))
        if not pliant and not (literal == "int" and is_thing(expected)):
            return lg.ParameterTerm(node.text, sort, span=node.span)
        assert expected is not None
        sort_before, place_before = self.names.uses.setdefault(node.text, (expected, node.span))
        if sort_before != expected:
            before, here = a_sort(sort_before), a_sort(expected)
            self.names.report(
                "KR205",
                f"parameter `{node.text}` stands for {before} and for {here}",
                node.span,
                related=[(place_before, f"{before} here")],
            )
            return None
        return lg.ParameterTerm(node.text, expected, span=node.span)

    def _call_term(self, node: sx.Call) -> lg.Term | None:
        if is_capital(node.name):
            self._signature(node, "predicate")
            self._no_value(node)
            return None
        if self.names.is_built_in(node.name):
            return built_in(self, node)
        signature = self._signature(node, "attribute")
        arguments = self._arguments(node, signature, wild=False)
        if signature is None or arguments is None or signature.result is None:
            return None
        return lg.AttributeTerm(node.name, arguments, signature.result, span=node.span)

    def _operation(self, node: sx.Binary | sx.Negative | sx.FunctionCall) -> lg.Term | None:
        parts: tuple[sx.Argument, ...]
        if isinstance(node, sx.Binary) and months_of(node) is not None:
            return month_step(self, node)
        if isinstance(node, sx.Binary):
            operator, parts = node.operator, (node.left, node.right)
        elif isinstance(node, sx.Negative):
            operator, parts = "neg", (node.operand,)
        else:
            operator, parts = node.name, node.arguments
        if isinstance(node, sx.Binary) and _is_comment(node):
            self.names.report(
                "KR103", "`--` is not part of the language", node.right.span, help=fw.COMMENT
            )
            return None
        terms = [None if isinstance(p, sx.Named) else self.term(p) for p in parts]
        if any(isinstance(p, sx.Named) for p in parts):
            self.names.report("KR204", f"`{operator}` takes no named arguments", node.span)
        if any(term is None for term in terms):
            return None
        operands = cast("list[lg.Term]", terms)
        sorts = [term.sort for term in operands]
        outcome = (
            function_sort(operator, sorts)
            if isinstance(node, sx.FunctionCall)
            else combine(operator, sorts)
        )
        if outcome.sort is None:
            span = parts[outcome.culprit].span if outcome.culprit is not None else node.span
            label = _listed(sorts, outcome.culprit) if outcome.code == "KR209" else ""
            self.names.report(outcome.code, outcome.message, span, label, help=outcome.help)
            return None
        return lg.Operation(operator, tuple(operands), outcome.sort, span=node.span)

    # ------------------------------------------------------------ aggregates

    def _counted(self, node: sx.AggregateNode | sx.CountListNode, direct: bool) -> lg.Term | None:
        before = len(self.opens)
        built: lg.Term | None
        if isinstance(node, sx.CountListNode):
            built = count_list(self, node)
        else:
            built = aggregate(self, node)
        if len(self.opens) > before and not direct and not self.crisp:
            self.names.report(
                "KR410",
                "unknowns may be counted only as one side of a comparison",
                node.span,
                help="move the rest of the expression to the other side",
            )
            return None
        return built

    # ------------------------------------------------------------ calls

    def _signature(self, node: sx.Call, wanted: str) -> Signature | None:
        signature = self.names.symbols.get(node.name)
        if signature is None:
            place = self.names.place_called(node.name) if wanted == "attribute" else None
            declared = [] if place else self.names.declared(wanted)
            self.names.unknown(wanted, node.name, node.name_span, declared, "KR201", place)
            return None
        if signature.kind == "param":
            self.names.report(
                "KR212",
                f"`{node.name}` is a parameter and takes no arguments",
                node.span,
                related=[(signature.span, "declared here")],
            )
            return None
        return signature

    def _arguments(
        self, node: sx.Call, signature: Signature | None, wild: bool
    ) -> tuple[lg.Term, ...] | None:
        if signature is None:
            for argument in node.arguments:
                self._lonely_argument(argument)
            return None
        placed = place_arguments(self.names, node, signature)
        if placed is None:
            return None
        built: list[lg.Term | None] = []
        for value, sort in zip(placed, signature.sorts, strict=True):
            if isinstance(value, sx.Name) and (bound := self._find(value.text)) is not None:
                built.append(self._variable_at(value, bound, sort))
            elif value is None or isinstance(value, sx.Wild):
                built.append(self._wildcard(node, signature, value, sort, wild))
            else:
                built.append(self._argument_at(value, sort))
        if any(term is None for term in built):
            return None
        return tuple(cast("list[lg.Term]", built))

    def _variable_at(
        self, node: sx.Name, bound: BoundVariable, sort: str | None
    ) -> lg.Variable | None:
        """A variable at an argument place; the scope has compared their sorts already."""
        same = sort is not None and bound.sort == sort
        return variable(bound, node.span) if same else None

    def _lonely_argument(self, argument: sx.Argument) -> None:
        """Look for faults in an argument of something that is not declared."""
        value = argument.value if isinstance(argument, sx.Named) else argument
        if isinstance(value, sx.Name):
            if is_capital(value.text):
                upper_case_variable(self.names, value)
        elif isinstance(value, sx.Call):
            self.term(value)

    def _wildcard(
        self,
        node: sx.Call,
        signature: Signature,
        value: sx.Expression | None,
        sort: str | None,
        wild: bool,
    ) -> lg.Term | None:
        if not wild:
            self.names.report(
                "KR110",
                "`_` stands only as an argument of a predicate"
                if value is not None
                else f"`{signature.name}` needs all of its arguments",
                node.span if value is None else value.span,
            )
            return None
        return None if sort is None else lg.Wildcard(sort, span=value.span if value else node.span)

    def _argument_at(self, value: sx.Expression, sort: str | None) -> lg.Term | None:
        if isinstance(value, sx.Name) and is_capital(value.text):
            upper_case_variable(self.names, value)
            return None
        term = self.term(value, sort)
        if term is None or sort is None:
            return None
        if term.sort != sort:
            self.names.report(
                "KR205",
                f"{a_sort(term.sort)} stands where {a_sort(sort)} is expected",
                value.span,
                a_sort(term.sort),
            )
            return None
        return term


def _variables(frame: Frame) -> tuple[lg.Variable, ...] | None:
    if not all(knows_sort(bound) for bound in frame.values()):
        return None
    return tuple(variable(bound) for bound in frame.values())


def _is_comment(node: sx.Binary) -> bool:
    """Whether ``A(x) -- words`` was meant, as in SQL."""
    formula = isinstance(node.left, sx.Call) and is_capital(node.left.name)
    start = node.right.span.start
    return formula and node.operator == "-" and node.span.source.text[start - 1 : start + 1] == "--"


def _listed(sorts: Sequence[str], culprit: int | None) -> str:
    if culprit is not None:
        return a_sort(sorts[culprit])
    return " and ".join(map(a_sort, sorts))
