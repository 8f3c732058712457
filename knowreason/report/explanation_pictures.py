"""An explanation as pictures: a waterfall of its parts, and the atoms and rules around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from knowreason.beliefs.beliefs import Beliefs
from knowreason.disk import whole_file
from knowreason.explanation import Explanation, Share
from knowreason.explanation.explanation_text import percent
from knowreason.explanation.factor_index import Incidence
from knowreason.factors import OPEN
from knowreason.grounding import Grounding
from knowreason.report.svg import ACCENT, INK, PALETTE, QUIET, described, new_figure, svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGAINST = PALETTE[1]  # orange beside the blue of what speaks for it: told apart by anyone
MOST_BARS, MOST_ATOMS = 14, 16
LIKELY = (
    (0.75, "75 % or more", ACCENT),
    (0.25, "between", "#7fb2dd"),
    (0.0, "under 25 %", "#d9e2ec"),
)


def save_pictures(
    why: Explanation, around: tuple[Beliefs, int] | None, waterfall: Path | None, graph: Path | None
) -> None:
    """Write the pictures that have a path; both have their text in them.

    Args:
        why: one explanation.
        around: beliefs in which its atom is open, and its number there: for the graph.
        waterfall, graph: ``.svg`` files.
    """
    if waterfall is not None:
        _write(waterfall_svg(why), waterfall)
    if graph is not None and around is not None:
        _write(graph_svg(*around), graph)


def _write(text: str, path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def waterfall_svg(why: Explanation) -> str:
    """The parts of an atom's log-odds one on the other, as an ``<svg>`` element.

    Example:
        >>> why = Explanation('Smokes("anna")', 0.73, 1.0, (Share("rule", "often", 1.0),))
        >>> "rule often +1.00" in waterfall_svg(why)
        True
    """
    title = f"{why.atom}: probability {percent(why.probability)}"
    parts = [f"{_named(share)} {share.log_odds:+.2f}" for share in why.shares]
    said = f"Log-odds {why.log_odds:+.2f} are the sum of {', '.join(parts)}."
    return described(svg_text(waterfall_figure(why)), title, said)


def waterfall_figure(why: Explanation) -> Figure:
    """A bar a part, each where the one above it ends; the last is their sum."""
    bars = _bars(why.shares)
    figure, axes = new_figure(7.2, 1.1 + 0.36 * (len(bars) + 1))
    start = 0.0
    low, high = min(0.0, why.log_odds), max(0.0, why.log_odds)
    for place, (_, value) in enumerate(bars):
        height = len(bars) - place
        colour = ACCENT if value > 0 else AGAINST
        axes.barh(height, value, left=start, height=0.6, color=colour)
        axes.plot([start + value] * 2, [height - 1.3, height + 0.3], color=QUIET, linewidth=0.8)
        axes.annotate(
            f"{value:+.2f}",
            (max(start, start + value), height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
        start += value
        low, high = min(low, start), max(high, start)
    axes.barh(0, why.log_odds, height=0.6, color=INK)
    axes.annotate(
        f"{why.log_odds:+.2f} = {percent(why.probability)}",
        (max(0.0, why.log_odds), 0),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=INK,
    )
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_yticks(range(len(bars), -1, -1), [*(name for name, _ in bars), "together"], fontsize=9)
    axes.set_ylim(-0.6, len(bars) + 0.6)
    axes.set_xlim(low - 0.04 * (high - low), high + 0.22 * (high - low))
    axes.set_xlabel("log-odds (0 is one half; blue speaks for it, orange against)", fontsize=9)
    axes.set_title(why.atom, fontsize=10, color=INK, loc="left")
    axes.grid(axis="y", visible=False)
    return figure


def _named(share: Share) -> str:
    return share.name if share.kind in ("base", "beyond", "prior") else f"{share.kind} {share.name}"


def _bars(shares: Sequence[Share]) -> list[tuple[str, float]]:
    """Parts in their order, the smallest of many in one."""
    bars = [(_named(share), share.log_odds) for share in shares]
    if len(bars) <= MOST_BARS:
        return bars
    order = sorted(range(len(bars)), key=lambda i: -abs(bars[i][1]))[: MOST_BARS - 1]
    rest = sum(value for i, (_, value) in enumerate(bars) if i not in order)
    return [*(bars[i] for i in sorted(order)), (f"{len(bars) - len(order)} others", rest)]


@dataclass(frozen=True)
class _Tie:
    """Rules that two atoms stand in together."""

    one: int
    other: int
    rules: tuple[str, ...]


def graph_svg(beliefs: Beliefs, atom: int) -> str:
    """The nearest atoms and the rules that tie them, as an ``<svg>`` element.

    Args:
        beliefs: in which the atom is open.
        atom: its number.
    """
    atoms, ties = surroundings(beliefs, atom)
    names = {a: beliefs.grounding.atom_name(a) for a in atoms}
    likely = {a: float(expit(beliefs.log_odds[a])) for a in atoms}
    evidence = beliefs.grounding.graph.evidence
    said = {a: percent(likely[a]) for a in atoms}
    said |= {a: f"known {bool(evidence[a])}".lower() for a in atoms if evidence[a] != OPEN}
    lines = [f"{names[a]} {said[a]}" for a in atoms]
    lines += [f"{names[t.one]} and {names[t.other]}: {', '.join(t.rules)}" for t in ties]
    figure = _graph_figure(atom, names, likely, said, ties)
    return described(svg_text(figure), f"What stands around {names[atom]}", "; ".join(lines) + ".")


def surroundings(beliefs: Beliefs, atom: int) -> tuple[list[int], list[_Tie]]:
    """The atom and those nearest to it, :data:`MOST_ATOMS` at most and the likeliest of each
    distance first, and which rules tie which."""
    grounding = beliefs.grounding
    graph, incidence = grounding.graph, beliefs.explainer.incidence
    chosen = [atom]
    frontier = np.array([atom], np.int64)
    while len(chosen) < MOST_ATOMS:
        reached = incidence.held_by(incidence.touching(frontier))
        new = [a for a in reached.tolist() if a not in chosen and grounding.atoms.owner(a)]
        if not new:
            break
        new.sort(key=lambda a: (-float(beliefs.log_odds[a]), a))
        chosen += new[: MOST_ATOMS - len(chosen)]
        frontier = np.array(new, np.int64)
    ties: dict[tuple[int, int], dict[str, None]] = {}
    for factor in incidence.touching(np.array(chosen, np.int64)).tolist():
        held = [a for a in _atoms_of(incidence, factor) if a in chosen]
        place = int(np.searchsorted(incidence.starts, factor, side="right")) - 1
        if place >= len(graph.factors):
            rule = "one of several"
        else:
            index = graph.factors[place].rule
            rule = _weighted(grounding, index) if index >= 0 else "hard constraint"
        for i, one in enumerate(held):
            for other in held[i + 1 :]:
                ties.setdefault((one, other), {})[rule] = None
    return chosen, [_Tie(one, other, tuple(rules)) for (one, other), rules in sorted(ties.items())]


def _weighted(grounding: Grounding, index: int) -> str:
    """Name of a rule and its weight, where it has one."""
    rule, parameters = grounding.program.rules[index], grounding.parameters
    if rule.weight.kind == "hard":
        return f"{rule.name} (hard)"
    own = [p for p, kind in enumerate(parameters.kinds)
           if kind == "rule" and parameters.owner[p] == index]  # fmt: skip
    if len(own) != 1:
        return rule.name
    return f"{rule.name} ({float(grounding.graph.theta[own[0]]):+.2f})"


def _atoms_of(incidence: Incidence, factor: int) -> list[int]:
    matrix = incidence.atoms_of
    return sorted(matrix.indices[matrix.indptr[factor] : matrix.indptr[factor + 1]].tolist())


def _graph_figure(
    centre: int,
    names: dict[int, str],
    likely: dict[int, float],
    said: dict[int, str],
    ties: Sequence[_Tie],
) -> Figure:
    import networkx as nx

    drawn = nx.Graph()
    drawn.add_nodes_from(names)
    drawn.add_edges_from((tie.one, tie.other) for tie in ties)
    at = nx.kamada_kawai_layout(drawn) if len(drawn) > 2 else nx.circular_layout(drawn)
    figure, axes = new_figure(8.4, 6.4)
    rules = list(dict.fromkeys(rule for tie in ties for rule in tie.rules))
    for tie in ties:
        (x, y), (u, v) = at[tie.one], at[tie.other]
        colour = PALETTE[(2 + rules.index(tie.rules[0])) % len(PALETTE)]
        axes.plot([x, u], [y, v], color=colour, linewidth=1.2, zorder=1)
    for rule in rules:
        colour = PALETTE[(2 + rules.index(rule)) % len(PALETTE)]
        axes.plot([], [], color=colour, linewidth=2, label=f"rule {rule}")
    for _, word, colour in LIKELY:
        axes.scatter([], [], s=80, color=colour, edgecolors=INK, label=word)
    for atom, name in names.items():
        colour = next(colour for least, _, colour in LIKELY if likely[atom] >= least)
        mine = atom == centre
        x, y = at[atom]
        axes.scatter(x, y, s=220 if mine else 110, color=colour, edgecolors=INK,
                     linewidths=2.4 if mine else 0.8, zorder=2)  # fmt: skip
        axes.annotate(
            f"{name}\n{said[atom]}",
            (x, y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=9 if mine else 7.5,
            fontweight="bold" if mine else "normal",
            color=INK,
            zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )
    axes.set_axis_off()
    axes.margins(0.16)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, frameon=False, fontsize=8)
    return figure
