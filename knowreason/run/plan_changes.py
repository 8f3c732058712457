"""What a plan says of rules, beside what became of them in an earlier run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from knowreason.errors import ProjectError
from knowreason.grounding import Plan
from knowreason.lang import loads
from knowreason.logic import Definition, Predicate, Program, Rule
from knowreason.logic.canonical_text import statement_text
from knowreason.logic.traversal import names_in
from knowreason.project.manifests import GROUNDED, RULES


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Rows of a rule, then and now.

    Attributes:
        rule: its name.
        then: rows grounded in the earlier run; ``None`` for a rule that was not.
        now: rows as the plan has them; ``None`` for a rule that is gone.
        why: what of the program changed: the rule itself, or what it reads; "data" where nothing
            of that did and yet counted rows differ.
    """

    rule: str
    then: int | None
    now: int | None
    why: str


def plan_changes(predicted: Plan, program: Program, folder: Path) -> tuple[RuleChange, ...]:
    """Rows of every rule in a run, and in a plan of what the program is now.

    Args:
        predicted: the plan.
        program: what it is of.
        folder: of ``knowreason train``, or of ``knowreason compile -o``.

    Raises:
        ProjectError: KR911 for a folder of neither.
    """
    if not is_grounded(folder):
        raise ProjectError(
            f"`{folder}` does not say what became of rules",
            code="KR911",
            help="`knowreason train PROJECT` and `knowreason compile PROJECT -o DIR` write that",
        )
    try:
        before = loads((folder / RULES).read_text(encoding="utf-8"), str(folder / RULES))
        reports = json.loads((folder / GROUNDED).read_text(encoding="utf-8"))
        then = {report["rule"]: report["candidate"] for report in reports}
    except (ValueError, KeyError, TypeError) as error:  # a ProgramError is a ValueError
        raise ProjectError(
            f"`{folder}` cannot be compared with: {RULES} or {GROUNDED} is damaged",
            code="KR911",
            help="train or compile once more, or `--against` another folder",
        ) from error
    now = {estimate.rule: estimate for estimate in predicted.rules}
    texts, old = _texts(program), _texts(before)
    changed = {name for name in texts.keys() | old.keys() if texts.get(name) != old.get(name)}
    rules = {rule.name: rule for rule in program.rules}
    found = []
    for name in dict.fromkeys((*now, *(rule.name for rule in before.rules))):
        if name not in now:
            why = "gone"
        elif f"rule {name}" not in old:
            why = "new"
        elif f"rule {name}" in changed:
            why = "rule changed"
        elif read := sorted(_read(program, rules[name]) & changed):
            why = f"changed: {', '.join(read)}"
        else:
            same = not now[name].exact or now[name].rows == then.get(name)
            why = "" if same else "data"
        rows = now[name].rows if name in now else None
        found.append(RuleChange(name, then.get(name), rows, why))
    return tuple(found)


def is_grounded(folder: Path) -> bool:
    """Whether a folder says what became of the rules of a program."""
    return all((folder / name).is_file() for name in (RULES, GROUNDED))


def _texts(program: Program) -> dict[str, str]:
    """Canonical texts by name; those of rules are not in the way of others'."""
    return {
        f"rule {one.name}" if isinstance(one, Rule) else one.name: statement_text(one)
        for one in program
    }


def _read(program: Program, rule: Rule) -> set[str]:
    """What a rule reads, directly or through definitions and candidates."""
    needs = {one.name: names_in(one.body) for one in program if isinstance(one, Definition)}
    needs |= {
        one.name: {one.within}
        for one in program
        if isinstance(one, Predicate) and one.within is not None
    }
    feature = rule.weight.feature
    waiting = names_in(rule.formula) | (set() if feature is None else names_in(feature))
    found = set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= needs.get(name, set())
    return found
