"""Hooks of mkdocs: generated pages, files outside of `docs`, rule files in colour, equations."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.lexers import LEXERS

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from reference_pages import pages  # noqa: E402
from rule_lexer import RuleLexer  # noqa: E402

LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
TAG = re.compile(r"\\tag\{([^}]*)\}")
LEXERS["RuleLexer"] = (RuleLexer.__module__, RuleLexer.name, ("kr",), ("*.kr",), ())


def on_config(config: MkDocsConfig) -> None:
    """A folder is a section, its index first; the order of sections stands in `mkdocs.yml`."""
    made = sorted(pages())
    for section in config.nav or []:
        for title, names in section.items() if isinstance(section, dict) else ():
            folder = names if isinstance(names, str) else ""
            if folder.endswith("/"):
                section[title] = _section(folder, made)


def _section(folder: str, made: list[str]) -> list[Any]:
    written = [f"{folder}{path.name}" for path in (ROOT / "docs" / folder).glob("*.md")]
    inside = [name for name in made if name.startswith(folder)]
    api = [name for name in inside if name.startswith(f"{folder}api/")]
    names = sorted({*written, *inside} - set(api), key=lambda name: (name[-8:] != "index.md", name))
    return [*names, {"API": api}] if api else names


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages made from the program itself."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(text: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository lead to copies of them in the site."""
    folder = dirname(page.file.src_uri)

    def copied(match: re.Match[str]) -> str:
        target = normpath(f"docs/{folder}/{match[1]}")
        if target.startswith("docs/"):
            return match[0]
        name = f"files/{target}" + (".txt" if target.endswith((".py", ".md", ".toml")) else "")
        if files.get_file_from_path(name) is None:
            path = ROOT / target
            said = path.read_text(encoding="utf-8") if path.is_file() else _listing(path)
            files.append(File.generated(config, name, content=said))
        return f"]({relpath(name, folder or '.')})"

    return LINK.sub(copied, text)


def on_page_content(text: str, **_: Any) -> str:
    """Equations as MathML, which browsers draw without a script."""
    return EQUATION.sub(_mathml, text)


def _mathml(match: re.Match[str]) -> str:
    formula = html.unescape(match[3]).strip()
    if match[2] == "(":
        return convert(formula)
    tag = TAG.search(formula)
    number = f'<span id="eq-{tag[1]}">({tag[1]})</span>' if tag else ""
    drawn = convert(TAG.sub("", formula), display="block")
    return f'<div class="equation">{drawn}{number}</div>'


def _listing(folder: Path) -> str:
    return "".join(f"{path.name}\n" for path in sorted(folder.iterdir()))
