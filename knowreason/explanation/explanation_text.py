"""Why an atom is believed, why not, and what would change it: the values and their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from knowreason.notebook.cells import first_lines, html_cell, html_lines, html_table

WHY = "why (parts of the log-odds; they add up)"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of an atom's log-odds.

    ``kind`` is ``base``, ``prior``, ``model``, ``rule``, ``beyond`` (what lies outside the
    neighbourhood that was solved) or ``stacked`` (a model in the half that knows no rules).

    Example:
        >>> why = Explanation('Smokes("anna")', 0.73, 1.0, (Share("rule", "often", 1.0),))
        >>> explanation_lines(why)[-1]
        '  rule often   +1.00  ++++'
    """

    kind: Literal["base", "prior", "model", "rule", "beyond", "stacked"]
    name: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class FieldValue:
    """What the data say of a thing: ``amount`` and ``5,412.00``.

    Attributes:
        name: the attribute, definition or column; of another thing than the atom's own with that
            thing, ``opened(c7)``.
        text: its value as people write it.

    Example:
        >>> base, amount = Share("base", "base", -1.0), FieldValue("amount", "12.00")
        >>> why = Explanation('Fraud("p")', 0.27, -1.0, (base,), fields=(amount,))
        >>> explanation_lines(why)[1]
        '  amount 12.00'
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ColumnShare:
    """The part of a model's share that one of its columns has.

    Attributes:
        model: name of the share, as in :class:`Share`.
        kind: that of the share: ``model`` or ``stacked``.
        column: name; ``average row`` is what the model says of that.
        text: the column's value.
        log_odds: the part.

    Example:
        >>> share, part = Share("model", "m", 1.0), ColumnShare("m", "model", "age", "31", 1.0)
        >>> why = Explanation('Bad("n")', 0.73, 1.0, (share,), columns=(part,))
        >>> explanation_lines(why)[-1]
        '           +1.00  age 31'
    """

    model: str
    kind: str
    column: str
    text: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One grounding of a rule at the atom.

    Attributes:
        rule: name of the rule.
        text: the rule with names from the data in place of variables.
        effect: log-odds of the atom less those without this grounding.
        others: the other open atoms in it, with their probabilities.
        values: what the rule reads in this grounding, and what else is to be shown of its things.

    Example:
        >>> base, reason = Share("base", "base", 1.0), Reason("often", 'Smokes("anna")', 1.0, ())
        >>> explanation_lines(Explanation('Smokes("anna")', 0.73, 1.0, (base,), (reason,)))[-1]
        '   +1.00  often: Smokes("anna")'
    """

    rule: str
    text: str
    effect: float
    others: tuple[tuple[str, float], ...]
    values: tuple[FieldValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a rule that could support the atom does not.

    Attributes:
        rule: name of the rule.
        literal: what keeps it from firing, with names where they are known.
        probability: that the literal holds; 0 where no row of the data gives it.

    Example:
        >>> base, gap = Share("base", "base", -1.0), Obstacle("peers", 'Smokes("bob")', 0.2)
        >>> explanation = Explanation('Smokes("anna")', 0.27, -1.0, (base,), why_not=(gap,))
        >>> explanation_lines(explanation)[-1]
        '  peers: Smokes("bob") is only 20 % likely'
    """

    rule: str
    literal: str
    probability: float


@dataclass(frozen=True, slots=True)
class Change:
    """A change that turns the conclusion around.

    Attributes:
        what: in words.
        before, after: probability of what is changed (or of the model's output).
        result: log-odds of the atom after it.

    Example:
        >>> change = Change('Smokes("bob") more likely', before=0.2, after=0.9, result=0.4)
        >>> base = Share("base", "base", -1.0)
        >>> explanation = Explanation('Smokes("anna")', 0.27, -1.0, (base,), what_if=(change,))
        >>> explanation_lines(explanation)[-1]
        '  Smokes("bob") more likely (20 % now, 90 % then): log-odds +0.40'
    """

    what: str
    before: float
    after: float
    result: float


@dataclass(frozen=True, slots=True)
class DataChange:
    """A change of the data, and what is believed then.

    Attributes:
        what: the change, as a facts file has it: ``amount("p1") = 20.0``, ``!Pays("p1", "t2")``.
        now: the value it replaces; empty for a fact or label.
        probability, log_odds: of the atom after it.

    Example:
        >>> base = Share("base", "base", 1.0)
        >>> change = DataChange('amount("p") = 20.0', "5.00", 0.27, -1)
        >>> why = Explanation('Fraud("p")', 0.73, 1.0, (base,), data_changes=(change,))
        >>> explanation_lines(why)[-1]
        '  amount("p") = 20.0 (now 5.00): probability 27 % (log-odds -1.00)'
    """

    what: str
    now: str
    probability: float
    log_odds: float


@dataclass(frozen=True)
class Explanation:
    """Why an atom has the marginal it has, why not another, what would change it.

    ``shares`` add up to ``log_odds``; ``quality`` says how good that is. ``fields`` are those of
    the atom's things; ``columns`` of one model add up to its share; ``label`` is what is known of
    the atom, where it is explained as if nobody knew.

    Example:
        >>> why = Explanation('Smokes("anna")', 0.73, 1.0, (Share("rule", "often", 1.0),))
        >>> why.to_dict()["shares"]
        ({'kind': 'rule', 'name': 'often', 'log_odds': 1.0},)
    """

    atom: str
    probability: float
    log_odds: float
    shares: tuple[Share, ...]
    reasons: tuple[Reason, ...] = ()
    why_not: tuple[Obstacle, ...] = ()
    what_if: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    quality: str = ""
    fields: tuple[FieldValue, ...] = ()
    columns: tuple[ColumnShare, ...] = ()
    label: bool | None = None
    data_changes: tuple[DataChange, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(explanation_lines(self))

    def __repr__(self) -> str:
        return first_lines(str(self))

    def _repr_html_(self) -> str:
        parts: list[list[object]] = []
        for share in self.shares:
            parts.append([_share_name(share), share.log_odds, ""])
            parts += [
                ["", column.log_odds, f"{column.column} {column.text}".strip()]
                for column in self.columns
                if (column.kind, column.model) == (share.kind, share.name)
            ]
        reasons = [
            [reason.rule, reason.effect, values_text(reason.values) or reason.text]
            for reason in self.reasons
        ]
        rest = explanation_lines(replace(self, shares=(), columns=(), reasons=()))
        shares = html_table(["why (these add up)", "log-odds", ""], parts)
        grounded = html_table(["groundings that matter most", "log-odds", ""], reasons)
        lines = html_lines(line.strip() for line in rest[1:] if line and line != WHY)
        return html_cell(rest[0], shares, grounded if reasons else "", lines)


def explanation_lines(explanation: Explanation) -> list[str]:
    """An explanation as lines of text.

    Example:
        >>> why = Explanation('Smokes("anna")', 0.73, 1.0, (Share("rule", "often", 1.0),))
        >>> explanation_lines(why)[0]
        'Smokes("anna"): probability 73 % (log-odds +1.00)'
    """
    lines = [
        f"{explanation.atom}: probability {percent(explanation.probability)} "
        f"(log-odds {explanation.log_odds:+.2f})",
        *([f"  {values_text(explanation.fields)}"] if explanation.fields else []),
        *([_label_text(explanation.label)] if explanation.label is not None else []),
        *([explanation.quality] if explanation.quality else []),
        "",
        WHY,
    ]
    width = max((len(_share_name(share)) for share in explanation.shares), default=0)
    told = {part.model for part in explanation.columns if part.kind == "model"}
    for share in explanation.shares:
        lines.append(
            f"  {_share_name(share):<{width}}  {share.log_odds:+6.2f}  {bar(share.log_odds)}"
        )
        lines += [
            f"  {'':<{width}}  {part.log_odds:+6.2f}  {f'{part.column} {part.text}'.strip()}"
            for part in explanation.columns
            if (part.kind, part.model) == (share.kind, share.name)
            and (part.kind == "model" or part.model not in told)  # else in the same proportions
        ]
    if explanation.reasons:
        lines += ["", "groundings that matter most"]
        for reason in explanation.reasons:
            lines.append(f"  {reason.effect:+6.2f}  {reason.rule}: {reason.text}")
            lines += [f"            {values_text(reason.values)}"] if reason.values else []
            lines += [f"            {name} is {percent(p)} likely" for name, p in reason.others]
    if explanation.why_not:
        lines += ["", "why not (rules that could support it, and what is missing)"]
        lines += [
            f"  {obstacle.rule}: {obstacle.literal} "
            + (
                f"is only {percent(obstacle.probability)} likely"
                if obstacle.probability
                else "does not hold in the data"
            )
            for obstacle in explanation.why_not
        ]
    if explanation.what_if:
        lines += ["", "what would turn it around"]
        lines += [
            f"  {change.what} ({percent(change.before)} now, {percent(change.after)} then): "
            f"log-odds {change.result:+.2f}"
            for change in explanation.what_if
        ]
    if explanation.data_changes:
        lines += ["", "if the data were otherwise"]
        lines += [
            f"  {change.what}{f' (now {change.now})' if change.now else ''}: probability "
            f"{percent(change.probability)} (log-odds {change.log_odds:+.2f})"
            for change in explanation.data_changes
        ]
    return [*lines, *(f"note: {note}" for note in explanation.notes)]


def _label_text(label: bool) -> str:
    return f"labelled {'true' if label else 'false'}; explained as if nobody knew"


def values_text(values: Sequence[FieldValue]) -> str:
    """Names and values in one line.

    Example:
        >>> values_text([FieldValue("amount", "12.00"), FieldValue("opened(c7)", "2026-01-05")])
        'amount 12.00, opened(c7) 2026-01-05'
    """
    return ", ".join(f"{value.name} {value.text}" for value in values)


def percent(probability: float) -> str:
    """``93 %``, ``0.4 %``, ``under 0.01 %``."""
    if probability < 1e-4:
        return "under 0.01 %"
    if probability > 1 - 1e-4:
        return "over 99.99 %"
    digits = 0 if 0.1 <= probability <= 0.9 else 1 if 0.01 <= probability <= 0.99 else 2
    return f"{probability:.{digits}%}".replace("%", " %")


def bar(log_odds: float, width: int = 20) -> str:
    """A bar of at most ``width`` characters, 0.25 log-odds each."""
    length = min(width, round(abs(log_odds) * 4))
    return ("+" if log_odds > 0 else "-") * length


def _share_name(share: Share) -> str:
    if share.kind in ("base", "beyond", "prior"):
        return share.name
    return f"{share.kind} {share.name}"
