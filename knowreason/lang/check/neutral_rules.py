"""Where `<~>` may stand."""

from __future__ import annotations

from knowreason import logic as lg
from knowreason.lang.check.symbols import Names
from knowreason.logic.rule_forms import NeutralForm, neutral_form
from knowreason.logic.traversal import names_in, walk


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
