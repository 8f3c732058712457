"""Every exception and warning knowreason raises on purpose.

One root, :class:`KnowreasonError`; each kind is also a subclass of the builtin
that fits, so ``except ValueError`` keeps working in a user's service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial

from knowreason.diagnostics import Diagnostic


class KnowreasonError(Exception):
    """Root of all errors that are raised on purpose.

    Attributes:
        diagnostics: every finding, first one first; each has a stable code.

    Example:
        >>> try:
        ...     raise KnowreasonError("no predicate `Smoke`", code="KR201")
        ... except KnowreasonError as error:
        ...     print(error.code, "|", error)
        KR201 | error[KR201]: no predicate `Smoke`
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        help: str | None = None,
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        if message is not None and not diagnostics:
            diagnostics = (Diagnostic(code or "KR000", message, help=help),)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n".join(_plain(d) for d in self.diagnostics))

    def __reduce__(self) -> tuple[partial[KnowreasonError], tuple[()], dict[str, object]]:
        return partial(type(self), diagnostics=self.diagnostics), (), vars(self)

    @property
    def code(self) -> str | None:
        """Code of the first finding, ``None`` when there is none."""
        return self.diagnostics[0].code if self.diagnostics else None


class ProgramError(KnowreasonError, ValueError):
    """A rule file, a facts file or a Python-built program is wrong.

    Example:
        >>> from knowreason import loads
        >>> loads("query Smokes(Person)")
        Traceback (most recent call last):
        knowreason.errors.ProgramError: <string>:1:14: error[KR...]: ...
    """


class DataError(KnowreasonError, ValueError):
    """A table does not fit the program; the message names table, row and column."""


class GroundingError(KnowreasonError, ValueError):
    """A rule cannot be grounded (a product over the limit, an impossible hard rule)."""


class InferenceError(KnowreasonError, RuntimeError):
    """An engine cannot serve a factor graph (no world satisfies the hard rules, ...).

    Attributes:
        rules: labels of the factor groups that conflict, where rules do.
    """

    rules: tuple[int, ...] = ()


class LearningError(KnowreasonError, RuntimeError):
    """Weights cannot be learned from what was given."""


class ModelError(KnowreasonError, ValueError):
    """A knowledge model cannot be fitted or used."""


class ProjectError(KnowreasonError, ValueError):
    """A project file, a run folder or a command line is wrong."""


class UnknownNameError(KnowreasonError, KeyError):
    """A name that is not registered or declared; the message offers the nearest ones."""

    __str__ = Exception.__str__


class DataWarning(UserWarning):
    """Tables that can be used but hardly mean what they say.

    Attributes:
        diagnostic: the finding, with a stable code.
    """

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic)  # its own argument, so that other processes can rebuild it

    def __str__(self) -> str:
        return _plain(self.diagnostic)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A help line naming the known name nearest to ``name``, or ``None``."""
    candidates = sorted(set(known))
    folded = {candidate.lower(): candidate for candidate in candidates}
    if name.lower() in folded:
        return f"did you mean `{folded[name.lower()]}`?"
    close = get_close_matches(name, candidates, n=3, cutoff=0.6)
    if not close:
        return None
    swapped = [near for near in close if sorted(near) == sorted(name)]
    return f"did you mean `{(swapped or close)[0]}`?"


def _plain(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span.place()}: " if diagnostic.span else ""
    help_line = f" ({diagnostic.help})" if diagnostic.help else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{help_line}"
