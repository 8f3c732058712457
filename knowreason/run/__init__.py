"""Training, prediction and evaluation of a project, each with a run folder."""

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

_HOMES = dict.fromkeys(("Run", "load_run"), "knowreason.run.run_folder")

if TYPE_CHECKING:
    from knowreason.run.run_folder import Run, load_run
else:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = ["Run", "load_run"]
