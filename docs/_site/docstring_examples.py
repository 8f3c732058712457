"""Examples in docstrings are code, whether or not they stand under a heading of their own."""

from __future__ import annotations

import re
from typing import Any

import griffe

HEADING = re.compile(r"^Example:$", re.MULTILINE)
PROMPTS = re.compile(r"^>>> .*\n?(?:(?!\n).+\n?)*", re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Marks them as the reader of docstrings expects."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """One object of the package."""
        if obj.docstring is not None:
            text = HEADING.sub("Examples:", obj.docstring.value)
            obj.docstring.value = PROMPTS.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text
            )
