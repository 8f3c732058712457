"""Training, prediction and evaluation of a project, each with a run folder."""

from knowreason.run.run_folder import Run, load_run

__all__ = ["Run", "load_run"]
