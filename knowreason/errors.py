"""Every exception and warning knowreason raises on purpose.

One root, :class:`KnowreasonError`; each kind is also a subclass of the builtin
that fits, so ``except ValueError`` keeps working in a user's service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from glob import has_magic
from pathlib import Path

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
        knowreason.errors.ProgramError: <string>:1:14: error[KR202]: unknown domain `Person`
    """


class DataError(KnowreasonError, ValueError):
    r"""A table does not fit the program; the message names table, row and column.

    Example:
        >>> from knowreason import Dataset, loads
        >>> program = loads("domain P\nquery Q(P)")
        >>> Dataset.from_frames(program, labels={"R": {"p": ["anna"]}})
        Traceback (most recent call last):
        knowreason.errors.DataError: error[KR503]: the program declares no predicate `R`...
    """


class GroundingError(KnowreasonError, ValueError):
    r"""A rule cannot be grounded (a product over the limit, an impossible hard rule).

    Example:
        >>> from knowreason import Dataset, ground, loads
        >>> program = loads('domain P = {"anna", "bob"}\nquery Q(P)')
        >>> ground(program, Dataset.from_frames(program), limit=1)
        Traceback (most recent call last):
        knowreason.errors.GroundingError: error[KR640]: `Q` has 2 P = 2 open atoms...
    """


class InferenceError(KnowreasonError, RuntimeError):
    r"""An engine cannot serve a factor graph (no world satisfies the hard rules, ...).

    Attributes:
        rules: labels of the factor groups that conflict, where rules do.

    Example:
        >>> from knowreason import Dataset, ground, infer, loads
        >>> rule = "rule differ [hard] : x != y => (Q(x) <=> !Q(y))"
        >>> program = loads('domain P = {"a", "b", "c"}\nquery Q(P)\n' + rule)
        >>> infer(ground(program, Dataset.from_frames(program)).graph)
        Traceback (most recent call last):
        knowreason.errors.InferenceError: error[KR702]: no world satisfies rule 0...
    """

    rules: tuple[int, ...] = ()


class LearningError(KnowreasonError, RuntimeError):
    """Weights cannot be learned from what was given.

    Example:
        >>> from knowreason import Reasoner, Settings
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> Reasoner(data.program, settings=Settings(learn={"pace": 1})).fit(data)
        Traceback (most recent call last):
        knowreason.errors.LearningError: error[KR858]: method ... has no option `pace`...
    """


class ModelError(KnowreasonError, ValueError):
    """A knowledge model cannot be fitted or used.

    Example:
        >>> from knowreason.models import make
        >>> make("trees", {"leaves": 3})
        Traceback (most recent call last):
        knowreason.errors.ModelError: error[KR802]: `trees` has no option `leaves`...
    """


class ProjectError(KnowreasonError, ValueError):
    """A project file, a run folder or a command line is wrong.

    Example:
        >>> from knowreason import load_run
        >>> load_run("nowhere")
        Traceback (most recent call last):
        knowreason.errors.ProjectError: error[KR911]: `nowhere` is not a run folder...
    """


class UnknownNameError(KnowreasonError, KeyError):
    """A name that is not registered or declared; the message offers the nearest ones.

    Example:
        >>> from knowreason.inference import ENGINES
        >>> ENGINES["exakt"]
        Traceback (most recent call last):
        knowreason.errors.UnknownNameError: error[KR801]: ... (did you mean `exact`?)
    """

    __str__ = Exception.__str__


class DataWarning(UserWarning):
    """Tables that can be used but hardly mean what they say.

    Attributes:
        diagnostic: the finding, with a stable code.

    Example:
        >>> from knowreason.diagnostics import Diagnostic
        >>> str(DataWarning(Diagnostic("KR529", "2 ids are in no other table", "warning")))
        'warning[KR529]: 2 ids are in no other table'
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


def near_file(path: Path) -> str | None:
    """A help line about a file that is not there: the nearest name in its folder, or that there is
    no such folder; ``None`` where neither helps."""
    if path.parent.is_dir():  # endings are left out: they make all tables alike
        entries = sorted(path.parent.iterdir(), key=lambda entry: entry.suffix == path.suffix)
        names = {entry.stem: entry.name for entry in entries}
        near = get_close_matches(path.stem, names, n=1, cutoff=0.6)
        return f"did you mean `{names[near[0]]}`?" if near else None
    return None if has_magic(str(path)) else f"there is no folder `{path.parent}`"


def _plain(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span.place()}: " if diagnostic.span else ""
    gap = "\n" if "\n" in diagnostic.message else " "
    help_line = f"{gap}({diagnostic.help})" if diagnostic.help else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{help_line}"
