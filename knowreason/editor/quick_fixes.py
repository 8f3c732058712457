"""Suggestions that findings carry, as edits."""

from __future__ import annotations

import re

from knowreason.diagnostics import Diagnostic

_OFFERS = re.compile(r"(?:did you mean|write) `([^`\n]+)`\??")
_WRITTEN = ("KR103", "KR107")  # codes whose `write ...` is what to write, not how


def replacement(finding: Diagnostic) -> str | None:
    """What to write in place of the finding's text, ``None`` where it does not say so."""
    offer = _OFFERS.fullmatch(finding.help or "")
    if offer is None or finding.span is None:
        return None
    written = finding.span.source.text[finding.span.start : finding.span.end]
    asked = (finding.help or "").startswith("did you mean")
    exact = f"`{written}`" in finding.message if asked else finding.code in _WRITTEN
    return offer.group(1) if exact and "..." not in offer.group(1) else None
