"""Canonical text of terms, formulas and statements; parsing it gives the same value back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from knowreason.logic import declarations as dc
from knowreason.logic import formulas as fm
from knowreason.logic.time_zones import UTC_ZONE, moment_in

_UNITS = (
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
)

# strength of binding, weakest first
_IFF, _IMPLIES, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _UNARY, _PRIMARY = range(1, 11)


def term_text(term: fm.Term) -> str:
    """Canonical text of a term."""
    return _text(term, 0)


def formula_text(formula: fm.Formula) -> str:
    """Canonical text of a formula."""
    return _text(formula, 0)


def statement_text(statement: dc.Statement) -> str:
    """Canonical text of a statement, one line."""
    return _STATEMENTS[statement.__class__](statement)


def rule_text(rule: dc.Rule) -> str:
    """``rule name [weight] : formula``, and what is expected of it."""
    weight = weight_text(rule.weight)
    expected = ", ".join(map(expectation_text, rule.expected))
    expected = expected and f" expect {expected}"
    return f"rule {rule.name}{weight and ' ' + weight} : {formula_text(rule.formula)}{expected}"


def expectation_text(expected: dc.Expectation) -> str:
    """``precision >= 0.3``."""
    amount = expected.written or number_text(expected.amount)
    return f"{expected.figure} {expected.operator} {amount}"


def weight_text(weight: dc.Weight) -> str:
    """The square brackets of a rule; empty for a stated belief."""
    if weight.kind in ("hard", "stated", "shadow"):
        return "" if weight.kind == "stated" else f"[{weight.kind}]"
    parts = ["?"] if weight.kind == "open" else []
    if weight.value is not None:
        parts.append(weight.written or number_text(weight.value))
    if weight.sign:
        parts.append(f"{weight.sign} 0")
    if weight.per:
        parts.append("per " + ", ".join(variable.name for variable in weight.per))
    if weight.feature is not None:
        parts.append("* " + _text(weight.feature, _PRODUCT))
    return f"[{' '.join(parts)}]"


def number_text(value: float) -> str:
    """A number without a needless ``.0``."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def chance_text(form: str, amount: float) -> str:
    """A weight as it was written: ``80%`` or ``odds 4``."""
    return f"{number_text(amount)}%" if form == "%" else f"odds {number_text(amount)}"


def string_text(text: str) -> str:
    """A quoted string; what would break its line or turn its direction is escaped."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def ground_atom_text(predicate: str, names: Iterable[str]) -> str:
    """A ground atom as rule and facts files have it: ``Smokes("anna")``."""
    return f"{predicate}({', '.join(map(string_text, names))})"


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# control characters, line separators, directions of text
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]')


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    return _ESCAPES.get(char) or f"\\u{{{ord(char):x}}}"


def duration_text(microseconds: int) -> str:
    """A duration in the largest unit that leaves it whole."""
    if microseconds == 0:
        return "0s"
    for unit, size in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    sign, (whole, rest) = "-" * (microseconds < 0), divmod(abs(microseconds), 1_000)
    return f"{sign}{whole}.{rest:03d}".rstrip("0") + "ms"


def time_text(microseconds: int, zone: str = UTC_ZONE) -> str:
    """An ISO 8601 time with the offset of a zone."""
    moment = moment_in(microseconds, zone)
    return moment.isoformat().replace("+00:00", "Z")


def value_text(value: fm.Value, sort: str, zone: str = UTC_ZONE) -> str:
    """Text of a value of a sort, as a rule or a facts file has it."""
    if sort == "time":
        return string_text(time_text(int(value), zone))
    if sort == "duration":
        return duration_text(int(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else string_text(str(value))


# ---------------------------------------------------------------- expressions


def _text(node: Any, least: int) -> str:
    """Text of a formula or term, in parentheses when it binds weaker than ``least``."""
    strength, text = _PRINTERS[node.__class__](node)
    return text if strength >= least else f"({text})"


def _joined(nodes: Iterable[Any], operator: str, least: int) -> str:
    return operator.join(_text(node, least) for node in nodes)


def _quantifier(word: str) -> Callable[[Any], tuple[int, str]]:
    """A binder, whose body reaches over `&` and `|`: parentheses show how far."""

    def text(node: fm.ForAll | fm.Exists) -> tuple[int, str]:
        body = node.body
        nested = isinstance(body, fm.ForAll | fm.Exists)
        return _OR, f"{word} {_names(node.variables)}. {_text(body, _OR if nested else _NOT)}"

    return text


def _names(variables: Iterable[fm.Variable]) -> str:
    return ", ".join(variable.name for variable in variables)


def _comparison(node: fm.Comparison) -> tuple[int, str]:
    left, right = _text(node.left, _SUM), _text(node.right, _SUM)
    return _COMPARISON, f"{left} {node.operator} {right}"


def _constant(node: fm.Constant) -> tuple[int, str]:
    text = value_text(node.value, node.sort)
    return (_UNARY if text.startswith("-") else _PRIMARY), text


def _operation(node: fm.Operation) -> tuple[int, str]:
    operator = node.operator
    if operator == "neg":
        return _UNARY, f"-{_text(node.operands[0], _PRIMARY)}"
    if operator in ("add_months", "subtract_months"):
        moment, months, *_ = node.operands
        assert isinstance(months, fm.Constant)
        sign = "+" if operator == "add_months" else "-"
        return _SUM, f"{_text(moment, _SUM)} {sign} {months.value}mo"
    if operator in "+-":
        left, right = node.operands
        return _SUM, f"{_text(left, _SUM)} {operator} {_text(right, _PRODUCT)}"
    if operator in "*/":
        left, right = node.operands
        return _PRODUCT, f"{_text(left, _PRODUCT)} {operator} {_text(right, _UNARY)}"
    return _PRIMARY, f"{operator}({_joined(node.operands, ', ', _SUM)})"


def _directed(node: fm.Directed) -> tuple[int, str]:
    how = "" if node.how == "sum" else f"{node.how} "
    return _IFF, f"{_text(node.left, _IFF)} ~> {how}{_text(node.right, _PRIMARY)}"


def _aggregate(node: fm.Aggregate) -> tuple[int, str]:
    names, body = _names(node.variables), _text(node.body, 0)
    value = "" if node.value is None else f"{_text(node.value, 0)} for "
    tail = ""
    if node.last is not None and node.by is not None:
        tail += f" last {_text(node.last, _SUM)} by {_text(node.by, _SUM)}"
    if node.prior is not None and node.strength is not None:
        tail += f" prior {_text(node.prior, _SUM)} of {_text(node.strength, _SUM)}"
    return _PRIMARY, f"{node.kind} {{ {value}{names} : {body}{tail} }}"


def _call(name: str, arguments: Iterable[fm.Term]) -> tuple[int, str]:
    return _PRIMARY, f"{name}({_joined(arguments, ', ', _SUM)})"


def _conditional(node: fm.Conditional) -> tuple[int, str]:
    least = 0 if isinstance(node.other, fm.Conditional) else _SUM
    condition, one = _text(node.condition, _IMPLIES), _text(node.one, _SUM)
    return 0, f"if {condition} then {one} else {_text(node.other, least)}"


_PRINTERS: dict[type, Callable[[Any], tuple[int, str]]] = {
    fm.Iff: lambda n: (_IFF, f"{_text(n.left, _IFF)} <=> {_text(n.right, _IMPLIES)}"),
    fm.Neutral: lambda n: (_IFF, f"{_text(n.left, _IFF)} <~> {_text(n.right, _IMPLIES)}"),
    fm.Directed: _directed,
    fm.Implies: lambda n: (_IMPLIES, f"{_text(n.left, _OR)} => {_text(n.right, _IMPLIES)}"),
    fm.Or: lambda n: (_OR, _joined(n.operands, " | ", _AND)),
    fm.And: lambda n: (_AND, _joined(n.operands, " & ", _NOT)),
    fm.Not: lambda n: (_NOT, f"!{_text(n.operand, _NOT)}"),
    fm.ForAll: _quantifier("forall"),
    fm.Exists: _quantifier("exists"),
    fm.Comparison: _comparison,
    fm.BooleanTerm: lambda n: _PRINTERS[n.term.__class__](n.term),
    fm.Atom: lambda n: _call(n.predicate, n.arguments),
    fm.Truth: lambda n: (_PRIMARY, "true" if n.value else "false"),
    fm.Variable: lambda n: (_PRIMARY, n.name),
    fm.Wildcard: lambda n: (_PRIMARY, "_"),
    fm.Constant: _constant,
    fm.ParameterTerm: lambda n: (_PRIMARY, n.name),
    fm.AttributeTerm: lambda n: _call(n.name, n.arguments),
    fm.Operation: _operation,
    fm.ConstantSet: lambda n: (_PRIMARY, f"{{ {_joined(n.members, ', ', 0)} }}"),
    fm.Conditional: _conditional,
    fm.Aggregate: _aggregate,
    fm.CountList: lambda n: (_PRIMARY, f"count {{ {_joined(n.formulas, ', ', 0)} }}"),
}


# ---------------------------------------------------------------- statements


def _parameter(parameter: dc.Parameter) -> str:
    return f"param {parameter.name} = {term_text(parameter.value)}"


def _domain(domain: dc.Domain) -> str:
    if domain.members is None:
        return f"domain {domain.name}"
    return f"domain {domain.name} = {{ {', '.join(map(string_text, domain.members))} }}"


def _places(arguments: Iterable[dc.Argument]) -> str:
    return ", ".join(
        f"{a.name}: {a.sort}{a.functional}" if a.name else f"{a.sort}{a.functional}"
        for a in arguments
    )


def _predicate(predicate: dc.Predicate) -> str:
    tail = " symmetric" if predicate.symmetric else ""
    tail += f" within {predicate.within}" if predicate.within and not predicate.sees else ""
    tail += f" sees {predicate.sees}" if predicate.sees else ""
    return f"{predicate.kind} {predicate.name}({_places(predicate.arguments)}){tail}"


def _attribute(attribute: dc.Attribute) -> str:
    tail = " clock" if attribute.clock else ""
    tail += f" within {attribute.within}" if attribute.within else ""
    kind = "query" if attribute.asked else "attribute"
    return f"{kind} {attribute.name}({_places(attribute.arguments)}): {attribute.sort}{tail}"


def _definition(definition: dc.Definition) -> str:
    head = f"{definition.name}({_names(definition.parameters)})"
    return f"define {head} := {_text(definition.body, 0)}"


def _model(model: dc.ModelDeclaration) -> str:
    return f"model {model.name} for {', '.join(model.predicates)} = {_option(model.call)}"


def _option(value: dc.OptionValue) -> str:
    if isinstance(value, dc.ModelCall):
        named = [f"{name}={_option(option)}" for name, option in value.options]
        return f"{value.kind}({', '.join([*map(_option, value.positional), *named])})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_option, value))}]"
    return value_text(value, "")


_STATEMENTS: dict[type, Callable[[Any], str]] = {
    dc.Domain: _domain,
    dc.Predicate: _predicate,
    dc.Attribute: _attribute,
    dc.Parameter: _parameter,
    dc.ModelDeclaration: _model,
    dc.Definition: _definition,
    dc.Rule: rule_text,
}
