"""Fits in processes of their own, side by side."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pickle import PicklingError
from tempfile import TemporaryDirectory

from joblib.externals.loky import (
    FIRST_COMPLETED,
    BrokenProcessPool,
    Future,
    ProcessPoolExecutor,
    wait,
)

from knowreason.errors import ModelError
from knowreason.models.base.stored_models import FittedModel
from knowreason.progress import Progress
from knowreason.reasoner.fitting.fingerprints import kinds_of
from knowreason.reasoner.fitting.model_fit import ModelFit

GLANCE = 0.5  # seconds between two looks at what the processes say
Said = list[tuple[Warning, type[Warning], str, int]]


def fit_in_processes(
    fits: Mapping[int, ModelFit],
    threads: int,
    keep: Callable[[int, FittedModel], None],
    progress: Progress | None,
) -> None:
    """Make the fits, hand each to ``keep`` as it ends.

    Processes are joblib's (``loky``): they start from nothing, so that they share no state, and
    do not run the script of the user again. Of several fits that fail the error is that of the
    first, as if one had been made after the other; fits that cannot be sent are made here.

    Raises:
        ModelError: as the models do; KR872 where a process ends before its fit.
    """
    here = [number for number, fit in fits.items() if "__main__" in _modules(fit)]
    lost: list[int] = []
    failed: dict[int, BaseException] = {}
    waiting: dict[Future, int] = {}
    executor = ProcessPoolExecutor(min(threads, len(fits)), initializer=_ready)
    try:
        with TemporaryDirectory(prefix="knowreason-") as folder:
            told = {number: _Told(Path(folder) / str(number)) for number in fits}
            waiting |= {
                executor.submit(_fitted, _modules(fit), fit, told[number].path): number
                for number, fit in fits.items()
                if number not in here
            }
            while any(not failed or number < min(failed) for number in waiting.values()):
                ended, _ = wait(waiting, GLANCE, FIRST_COMPLETED)
                for one in told.values():
                    one.pass_on(progress)
                for future in ended:
                    number = waiting.pop(future)
                    try:
                        model, said = future.result()
                    except PicklingError:
                        here.append(number)
                    except BrokenProcessPool:  # of all that were not ready
                        lost.append(number)
                    except Exception as error:  # the model's own, raised below
                        failed[number] = error
                    else:
                        for message, category, file, line in said:
                            warnings.warn_explicit(message, category, file, line)
                        keep(number, model)
    finally:
        executor.shutdown(kill_workers=len(waiting) > 0)
    if failed:
        raise failed[min(failed)]
    if lost:
        raise _broken([fits[number].name for number in sorted(lost)])
    for number in sorted(here):
        keep(number, fits[number](progress))


def _broken(names: list[str]) -> ModelError:
    return ModelError(
        f"a process that fitted models ended before its time; not ready were {', '.join(names)}",
        code="KR872",
        help="memory may have been short: `[infer] threads = 1` fits one model after the other",
    )


@dataclass
class _Told:
    """What a process says of its progress: lines of a file, passed on as they come."""

    path: Path
    read: int = 0  # bytes

    def pass_on(self, progress: Progress | None) -> None:
        if progress is None or not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.read)
            whole, _, _ = file.read().rpartition(b"\n")
        self.read += len(whole) + bool(whole)
        for line in whole.splitlines():
            progress(*json.loads(line))


def _ready() -> None:
    """Leave an interrupt to the process that started this one: it ends all of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _modules(fit: ModelFit) -> tuple[str, ...]:
    """Modules that register the kinds of a model."""
    return tuple({kind.__module__ for kind in kinds_of(fit.make())})


def _fitted(modules: tuple[str, ...], fit: ModelFit, path: Path) -> tuple[FittedModel, Said]:
    """The fit, made in this process, and the warnings it gave."""
    for module in modules:
        import_module(module)
    with warnings.catch_warnings(record=True) as caught, path.open("w", encoding="utf-8") as file:
        warnings.simplefilter("always")

        def tell(done: int, total: int, message: str) -> None:
            file.write(json.dumps([done, total, message]) + "\n")
            file.flush()

        model = fit(tell)
    said = [
        (one.message, one.category, one.filename, one.lineno)
        for one in caught
        if isinstance(one.message, Warning)
    ]
    return model, said
