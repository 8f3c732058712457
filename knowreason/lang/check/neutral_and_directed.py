"""Where `<~>` and `~>` may stand, and that directed rules run in no circle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowreason import logic as lg
from knowreason.lang.check.label_times import clocked, compares
from knowreason.lang.check.symbols import Names, name_span
from knowreason.lang.check.variable_scopes import Scope
from knowreason.lang.check.weight_brackets import elaborate_weight
from knowreason.lang.syntax import nodes as sx
from knowreason.logic.rule_forms import NeutralForm, neutral_form
from knowreason.logic.traversal import conjuncts, names_in, strong_components, walk


def check_neutral(names: Names, formula: lg.Formula, weight: lg.Weight) -> None:
    """Report a rule that uses ``<~>`` for what has no meaning."""
    ties = [node for node in walk(formula) if isinstance(node, lg.Neutral)]
    if not ties:
        return
    form = neutral_form(formula)
    wrong = None
    if weight.kind == "hard":
        wrong = "an association that leaves base rates where they are is never hard"
    elif len(ties) > 1 or form is None:
        wrong = "`<~>` ties one unknown atom, or its negation, to another"
    else:
        wrong = _wrong(names, form)
    if wrong:
        names.report(
            "KR414",
            wrong,
            ties[0].span,
            help="write `C & (A <~> B)`, where C is observed, A and B are unknown",
        )


def _wrong(names: Names, form: NeutralForm) -> str | None:
    for atom in (form.left, form.right):
        if not _is_open(names, atom.predicate):
            return f"`{atom.predicate}` is observed and has no base rate"
        if any(isinstance(argument, lg.Wildcard) for argument in atom.arguments):
            return "`_` cannot stand beside `<~>`: which atom is tied?"
    for part in form.given:
        unknown = sorted(name for name in names_in(part) if _is_open(names, name))
        if unknown:
            return f"`{unknown[0]}` is unknown, and what an association depends on is observed"
    return None


def _is_open(names: Names, predicate: str) -> bool:
    symbol = names.symbols.get(predicate)
    return symbol is not None and symbol.is_open


def view_tie(names: Names, view: lg.Predicate, statement: sx.PredicateStatement) -> lg.Rule | None:
    """The rule that the bracket after ``sees P`` writes: ``view_sees_p [w] : View(x) <~> P(x)``.

    An association leaves base rates where they are. ``<=>`` would push both atoms once more for
    each view, where nothing is known of either.
    """
    assert view.sees is not None
    if statement.tie is None:
        return None
    weight = elaborate_weight(names, Scope(names), statement.tie)
    if weight is not None and weight.kind == "hard":
        names.report(
            "KR220",
            "a view that must agree with what it sees is that predicate itself",
            statement.tie.span,
            help=f"declare the model for `{view.sees}`, or write `[? >= 0]`",
        )
        weight = None
    if weight is None:
        return None
    letters = ("x",) if view.arity == 1 else tuple(f"x{i + 1}" for i in range(view.arity))
    variables = tuple(lg.Variable(v, s) for v, s in zip(letters, view.sorts, strict=True))
    sides = lg.Neutral(lg.Atom(view.name, variables), lg.Atom(view.sees, variables))
    name = f"{_small(view.name)}_sees_{_small(view.sees)}"
    return lg.Rule(name, weight, sides, variables, span=statement.span)


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def check_directed(names: Names, formula: lg.Formula, weight: lg.Weight) -> None:
    """Report a rule that uses ``~>`` for what has no meaning."""
    arrows = [node for node in walk(formula) if isinstance(node, lg.Directed)]
    if not arrows:
        return
    wrong, help = None, "write `body ~> Head(x)`"
    if not isinstance(formula, lg.Directed) or len(arrows) > 1:
        wrong = "`~>` is the outermost part of a rule"
    elif weight.kind == "hard":
        wrong = "what a body does to a chance is never hard"
    else:
        symbol = names.symbols.get(formula.right.predicate)
        if symbol is None or not symbol.is_open:
            wrong = f"`{formula.right.predicate}` is observed, and has no chance to change"
        elif any(isinstance(argument, lg.Wildcard) for argument in formula.right.arguments):
            wrong = "`_` cannot stand in a conclusion: which atom is meant?"
        elif formula.how == "any" and not _is_positive(weight):
            wrong = "bodies of a noisy or only make their head more likely"
            help = "write `[? >= 0]`, a weight that is not negative, or nothing"
    if wrong:
        names.report("KR415", wrong, arrows[0].span, help=help)


def _is_positive(weight: lg.Weight) -> bool:
    if weight.kind == "given":
        return weight.prior_mean >= 0
    return weight.kind == "shadow" or weight.bounds[0] >= 0


@dataclass(frozen=True)
class _Step:
    """From an unknown in a body to the head of its rule."""

    rule: lg.Rule
    body: str
    head: str
    time: str  # "<", "<=", or nothing where the body may be later


def check_heads(names: Names, program: lg.Program) -> None:
    """Report noisy ors of a functional head: its states would share what their causes add."""
    for rule in program.every_rule:
        formula = rule.formula
        if isinstance(formula, lg.Directed) and formula.how == "any":
            head = program.predicate(formula.right.predicate)
            if head.functional_position is not None:
                names.report(
                    "KR415",
                    f"`{head.name}` has one value of several, and a noisy or is of an atom that is"
                    " true or false",
                    formula.span,
                    help="leave `any` out: bodies then add up",
                )


def check_circles(names: Names, program: lg.Program) -> None:
    """Report directed rules by which an unknown depends on itself, but for earlier ones."""
    steps = [step for rule in program.rules for step in _steps(program, rule)]
    uses = {predicate.name: set[str]() for predicate in program.open_predicates}
    still = {name: set[str]() for name in uses}
    for step in steps:
        uses[step.head].add(step.body)
        if step.time != "<":
            still[step.head].add(step.body)
    for group in strong_components(uses):
        inside = [step for step in steps if step.body in group and step.head in group]
        if not inside or (all(step.time for step in inside) and not _circle(group, still)):
            continue
        first = next((step for step in inside if not step.time), inside[0])
        way = " ~> ".join(f"`{name}`" for name in (*_way(first, inside), first.body))
        names.report(
            "KR416",
            f"directed rules run in a circle: {way}",
            name_span(first.rule),
            help="say that the body is earlier, by clocks, as in `at(d) < at(e)`; for what goes"
            " both ways write `A <~> B`",
        )


def _circle(group: tuple[str, ...], still: dict[str, set[str]]) -> bool:
    inside = {name: still[name] & set(group) for name in group}
    return any(len(part) > 1 or part[0] in inside[part[0]] for part in strong_components(inside))


def _way(first: _Step, steps: list[_Step]) -> list[str]:
    """Predicates from the body of a step through its head, up to where the body comes again."""
    if first.body == first.head:
        return [first.body]
    came = {first.head: ""}
    pending = [first.head]
    for name in pending:
        for step in steps:
            if step.body == name and step.head not in came:
                came[step.head] = name
                pending.append(step.head)
    back, name = list[str](), came[first.body]
    while name:
        back.append(name)
        name = came[name]
    return [first.body, *reversed(back)]


def _steps(program: lg.Program, rule: lg.Rule) -> Iterator[_Step]:
    if not isinstance(rule.formula, lg.Directed):
        return
    head = rule.formula.right
    later = clocked(program, head.arguments)
    given = conjuncts(rule.formula.left)
    for node in walk(rule.formula.left):
        if isinstance(node, lg.Atom) and program.is_open(node.predicate):
            time = ""
            for term in clocked(program, node.arguments):
                said = {compares(program, part, term, own) for own in later for part in given}
                if "<" in said:
                    time = "<"
                elif not time and (term in later or said & {"<=", "="}):
                    time = "<="
            yield _Step(rule, node.predicate, head.predicate, time)
