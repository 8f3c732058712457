"""Milliseconds from a keystroke to the findings, and to hover and completion, in a long rule file.

    OMP_NUM_THREADS=1 python benchmarks/keystrokes.py [--lines 300] [--keys 40] [--out keys.json]

The file is `rulesets/collusion.kr` written several times with other names. A client speaks with
`knowreason lsp` over stdio and types a conjunct into a rule, character by character; the text is
wrong most of the time. The server waits PAUSE for another keystroke before it checks, which is
counted. `server CPU` is what the server computes from a keystroke to its findings (Linux only).
Beside it: one `check` of the same text without a server, the limit, in wall and CPU time.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from pathlib import Path

from lsprotocol import types as lsp
from pytest_lsp import client_capabilities, make_test_lsp_client

from knowreason.diagnostics import Source
from knowreason.editor.language_server import PAUSE
from knowreason.editor.occurrences import occurrences
from knowreason.lang import check
from knowreason.resources import rulesets_path

TYPED = " & Shares(a, b) & amount(a) > 100"


def long_file(lines: int) -> str:
    """Rules of so many lines, or a few fewer."""
    text = (rulesets_path() / "collusion.kr").read_text(encoding="utf-8")
    declared = {o.name for o in occurrences(Source("r", text)) if o.declares}
    word = re.compile(r"\b(" + "|".join(sorted(declared, key=len, reverse=True)) + r")\b")
    copies = max(1, lines // len(text.splitlines()))
    return "".join(word.sub(rf"\g<1>{copy}", text) + "\n" for copy in range(copies))


def cpu(process: int) -> float:
    """CPU seconds of a process so far, not a number where the system does not tell."""
    try:
        run = Path(f"/proc/{process}/schedstat").read_text().split()[0]
    except OSError:
        return float("nan")
    return int(run) / 1e9


async def keystrokes(text: str, count: int, folder: Path) -> dict[str, list[float]]:
    """Milliseconds of each answer."""
    client = make_test_lsp_client()
    await client.start_io(sys.executable, "-m", "knowreason", "lsp")
    capabilities = client_capabilities("visual-studio-code")
    await client.initialize_session(lsp.InitializeParams(capabilities, root_uri=folder.as_uri()))
    uri = (folder / "typed.kr").as_uri()
    client.text_document_did_open(
        lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "knowreason", 0, text))
    )
    await client.wait_for_notification("textDocument/publishDiagnostics")
    rows = text.splitlines()
    row = max(i for i, line in enumerate(rows) if line.startswith("rule "))
    took: dict[str, list[float]] = {"findings": [], "server CPU": [], "completion": [], "hover": []}
    for key in range(count):
        line = rows[row] + TYPED[: key % len(TYPED) + 1]
        changed = "\n".join([*rows[:row], line, *rows[row + 1 :]]) + "\n"
        begun, before = time.perf_counter(), cpu(client._server.pid)
        client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(key + 1, uri),
                [lsp.TextDocumentContentChangeWholeDocument(changed)],
            )
        )
        await client.wait_for_notification("textDocument/publishDiagnostics")
        took["findings"].append(time.perf_counter() - begun)
        took["server CPU"].append(cpu(client._server.pid) - before)
        here = lsp.TextDocumentIdentifier(uri)
        begun = time.perf_counter()
        end = lsp.Position(row, len(line))
        await client.text_document_completion_async(lsp.CompletionParams(here, end))
        took["completion"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        await client.text_document_hover_async(lsp.HoverParams(here, lsp.Position(row, 6)))
        took["hover"].append(time.perf_counter() - begun)
    await client.shutdown_session()
    return {name: [1000 * seconds for seconds in times] for name, times in took.items()}


def main() -> None:
    """Print the table and write the JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=300)
    options.add_argument("--keys", type=int, default=40)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    text = long_file(given.lines)
    alone: dict[str, list[float]] = {"check": [], "check CPU": []}
    for _ in range(10):
        begun, before = time.perf_counter(), time.process_time()
        check(text=text)
        alone["check"].append(1000 * (time.perf_counter() - begun))
        alone["check CPU"].append(1000 * (time.process_time() - before))
    rows = asyncio.run(keystrokes(text, given.keys, Path.cwd())) | alone
    print(f"{len(text.splitlines())} lines; findings wait {1000 * PAUSE:.0f} ms of these")
    print(f"{'ms':16}{'median':>9}{'worst':>9}")
    for name, times in rows.items():
        print(f"{name:16}{statistics.median(times):9.0f}{max(times):9.0f}")
    if given.out:
        given.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
