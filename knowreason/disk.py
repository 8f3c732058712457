"""Files and folders that appear whole or not at all.

Everything is written under a temporary name that nobody else uses, beside its target, and
renamed at the end. A link is followed: what it points to is written, the link stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to; the file takes the place of ``path`` when the block succeeds.

    The permissions of a file that was there are kept; its folder is made where it is missing.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unused_name(path)
    try:
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to write into that takes the place of ``target`` when the block succeeds.

    Whether a folder that is there may be replaced is for the caller to decide.
    """
    target = target.resolve()
    temporary = unused_name(target)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace_folder(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Rename ``new`` to ``target`` and delete what was there; it comes back if that fails."""
    if not target.exists():
        new.rename(target)
        return
    outdated = unused_name(target)
    target.rename(outdated)
    try:
        new.rename(target)
    except OSError:
        outdated.rename(target)
        raise
    shutil.rmtree(outdated)


def unused_name(path: Path) -> Path:
    """A hidden name beside ``path`` that nothing has."""
    return path.with_name(f".{path.name}.{uuid4().hex}")
