"""``knowreason explain-code``: what a finding's code means."""

from __future__ import annotations

from typing import Annotated

import typer

from knowreason.cli.screen import write, write_json, write_table


def explain_code(
    code: Annotated[str, typer.Argument(help="Such as KR201; nothing lists all codes.")] = "",
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Explain a code, with a wrong and a right example where that helps."""
    from knowreason.codes import catalogue
    from knowreason.errors import UnknownNameError, did_you_mean

    entries = catalogue()
    if not code:
        if json:
            write_json([{"code": e.code, "title": e.title} for e in entries.values()])
        else:
            write_table(["code", "about"], [(e.code, e.title) for e in entries.values()])
        return
    entry = entries.get(code.upper())
    if entry is None:
        raise UnknownNameError(
            f"no code is called `{code}`", code="KR916", help=did_you_mean(code.upper(), entries)
        )
    if json:
        write_json(entry)
        return
    write(f"{entry.code}: {entry.title}\n\n{entry.explanation}")
    for label, example in (("wrong", entry.wrong), ("right", entry.right)):
        if example:
            lines = "\n".join(f"    {line}" for line in example.splitlines())
            write(f"\n{label}:\n{lines}")
