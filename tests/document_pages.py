"""Blocks of the documents: read, run as a user would, and written anew where outputs changed.

A comment right above a block says what is special about it, where something is:

- ``<!-- not run: REASON -->``;
- ``<!-- given`` and declarations ``-->``: what a fragment of a rule file stands in;
- ``<!-- continues -->``: the rule file goes on after the rule blocks above;
- ``<!-- shows KR201 KR202 -->``: the codes that a rule file has, instead of none;
- ``<!-- printed -->``: a ``text`` block is what the Python above it prints;
- ``<!-- file NAME`` and its text ``-->``: a file that commands find and readers need not see.

A block with ``title="name"`` is a file that the commands below find. Of a ``console`` block each
line after ``$`` is a command, what follows is its output; ``...`` stands for anything. A ``sh``
block is commands that end well. ``python -m tests.document_pages docs/tutorial`` writes outputs
that are no longer so into the pages: what differs is to be read, not only to be committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowreason.cli import main
from knowreason.lang import check

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {"python", "kr", "sh", "console", "toml", "json", "text", "lua", "yaml"}
LINKED = ("rulesets", "examples", "docs")
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")
STEP_DONE = re.compile(r": done \([\d.]+ s\)$")  # a terminal shows a bar, which vanishes
BLOCK = re.compile(
    r"(?:^ *<!-- *(?P<note>(?:(?!-->).)*?) *-->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\S*)(?: +title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
    r"(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands and what stands in it."""

    page: Path
    line: int
    language: str
    title: str
    note: str
    text: str
    start: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether the note above lets it run; what keeps it from running needs a reason."""
        return not re.match(r"not run: \w", self.note)


def pages() -> list[Path]:
    """Every page of ours, in the order in which they are read."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        indent = len(match["indent"])
        lines = match["text"].splitlines(keepends=True)
        body = "".join(line[indent:] if line.strip() else line for line in lines)
        line = text.count("\n", 0, match.start("language")) + 1
        note, title = match["note"] or "", match["title"] or ""
        found.append(Block(page, line, match["language"], title, note, body, match.start("text")))
    return found


def stories() -> dict[str, list[Path]]:
    """Pages whose commands build on each other; every other page is a story of its own."""
    found: dict[str, list[Path]] = {}
    for page in pages():
        name = str(page.relative_to(ROOT))
        found.setdefault("docs/tutorial" if name.startswith("docs/tutorial/") else name, []).append(
            page
        )
    return {
        name: group
        for name, group in found.items()
        if any(b.language in ("sh", "console") and b.runs for p in group for b in blocks_of(p))
    }


def rule_blocks() -> Iterator[tuple[Block, str, tuple[str, ...]]]:
    """Each block of rules, the whole program it stands in, and the codes it is to show."""
    for page in pages():
        before = ""
        for block in blocks_of(page):
            if block.language != "kr" or not block.runs:
                continue
            program = block.text
            if block.note.startswith("given"):
                program = block.note.removeprefix("given").strip() + "\n" + program
            elif "continues" in block.note.split():
                program = before + program
            before = program
            yield block, program, tuple(re.findall(r"\bKR\d{3}\b", block.note.split("\n")[0]))


def missed(program: str, codes: tuple[str, ...]) -> str:
    """What a program has of errors that are not to be there, or has not of codes that are."""
    said = check(text=program).diagnostics
    if codes:
        return " ".join(sorted(set(codes) - {finding.code for finding in said}))
    return "\n".join(f"{each.code} {each.message}" for each in said if each.severity == "error")


@dataclass
class Shell:
    """A folder with the repository's rule files, and commands run in it."""

    folder: Path

    def __post_init__(self) -> None:
        for name in LINKED:
            (self.folder / name).symlink_to(ROOT / name)

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and what a terminal would show."""
        if not re.match(r"knowreason\b[^|>;&]*$", _bare(command)):
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            done = subprocess.run(
                command,
                shell=True,
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout
        return self._knowreason(command)

    def _knowreason(self, command: str) -> tuple[int, str]:
        words = shlex.split(command, comments=True)
        said, code, before = io.StringIO(), 0, (os.getcwd(), sys.argv)
        os.chdir(self.folder)
        sys.argv = words
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        finally:
            os.chdir(before[0])
            sys.argv = before[1]
        lines = said.getvalue().splitlines(keepends=True)
        return code, "".join(line for line in lines if not STEP_DONE.search(line))

    def play(self, block: Block) -> Iterator[tuple[str, str, int, str]]:
        """Command, output shown, exit code and output of each command of a block."""
        if block.note.startswith("file "):
            name, text = block.note.removeprefix("file ").split("\n", 1)
            (self.folder / name).write_text(text + "\n", encoding="utf-8")
        if block.title:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command, shown in commands_of(block.text):
                yield (command, shown, *self.run(command))
        elif block.language == "sh":
            for command in filter(None, map(_bare, block.text.replace("\\\n", "").splitlines())):
                yield (command, "", *self.run(command))


def commands_of(text: str) -> list[tuple[str, str]]:
    """Commands of a `console` block, and the output that is shown below each."""
    parts = re.split(r"^\$ (.*)\n?", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def agrees(shown: str, said: str) -> bool:
    """Whether an output is as it is shown.

    Spaces do not count, `...` is anything, and numbers with a point may be off by what another
    processor's arithmetic makes of them: 0.02 and a twentieth.
    """
    parts = NUMBER.split(" ".join(shown.split()))
    pattern = r"(-?\d+\.\d+)".join(re.escape(part).replace(r"\.\.\.", ".*?") for part in parts)
    found = re.fullmatch(pattern, " ".join(said.split()))
    if not shown.strip():
        return True
    expected = map(float, NUMBER.findall(" ".join(shown.split())))
    return found is not None and all(
        abs(float(one) - two) <= 0.02 + 0.05 * abs(two)
        for one, two in zip(found.groups(), expected, strict=True)
    )


def faults(block: Block, shell: Shell) -> list[str]:
    """What of a block does not happen as it is shown."""
    found = []
    for command, shown, code, said in shell.play(block):
        if not agrees(shown, said):
            found.append(f"{block}: $ {command}\nshown:\n{shown}\nsaid:\n{said}")
        elif code and not shown.strip():
            found.append(f"{block}: $ {command}\nended with {code}:\n{said}")
    return found


def _bare(command: str) -> str:
    """A command without the comment behind it."""
    return re.sub(r"(^|\s)#.*$", "", command).strip()


def _rewrite(pages: Sequence[Path], shell: Shell) -> None:
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for block in reversed(_played(page, shell)):
            text = text[: block[0]] + block[1] + text[block[0] + len(block[2]) :]
        page.write_text(text, encoding="utf-8")


def _played(page: Path, shell: Shell) -> list[tuple[int, str, str]]:
    done = []
    for block in blocks_of(page):
        if not block.runs:
            continue
        new = "".join(
            f"$ {command}\n"
            + (shown if agrees(shown, said) and (shown.strip() or not code) else _trimmed(said))
            for command, shown, code, said in shell.play(block)
        )
        if block.language == "console" and not block.title and new.strip() != block.text.strip():
            print(f"{block}: written anew")
            done.append((block.start, new, block.text))
    return done


def _trimmed(said: str) -> str:
    return "".join(line.rstrip() + "\n" for line in said.strip("\n").splitlines())


if __name__ == "__main__":
    wanted = [Path(name).resolve() for name in sys.argv[1:]]
    for story in stories().values():
        if any(page == each or each in page.parents for page in story for each in wanted):
            with tempfile.TemporaryDirectory() as folder:
                _rewrite(story, Shell(Path(folder)))
