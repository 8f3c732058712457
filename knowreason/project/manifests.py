"""Folders that knowreason wrote: known by their manifest, whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from knowreason.diagnostics import Diagnostic
from knowreason.disk import replace_folder, whole_file, whole_folder
from knowreason.errors import ProjectError
from knowreason.version import __version__

MANIFEST = "manifest.json"
SETTINGS = "project.toml"
RULES, GROUNDED = "program.kr", "grounding.json"  # the program, what became of its rules
CHANGED = "is not what was written"
FORMAT = 1  # of the folders; one more with every change that an older version cannot read


@contextmanager
def run_folder(
    target: Path,
    *,
    replace: bool = False,
    keep: Iterable[Path] = (),
    partial: Path | None = None,
) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` only when the block succeeds.

    Args:
        target: a link is followed.
        replace: whether a folder of ours that is there may be replaced.
        keep: files and folders that are never deleted with it, beside the working folder.
        partial: write here and leave it where the block fails; otherwise a new folder.

    Raises:
        ProjectError: KR914, KR924 as :func:`refuse_existing`, before and after the block.
    """
    refuse_existing(target, replace=replace, keep=keep)
    if partial is None:
        with whole_folder(target) as folder:
            yield folder
            seal(folder)
            refuse_existing(target, replace=replace, keep=keep)
    else:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        seal(partial)
        refuse_existing(target, replace=replace, keep=keep)
        replace_folder(partial, target.resolve())


def refuse_existing(target: Path, *, replace: bool = False, keep: Iterable[Path] = ()) -> None:
    """Raise unless ``target`` is free, or is to be replaced and is a folder of ours.

    Raises:
        ProjectError: KR914 when something is there and ``replace`` is false; KR924 when it
            has no manifest of ours or is, or lies above, a path of ``keep`` or the working
            folder.
    """
    if not target.exists():
        return
    protected = holds(target, (Path.cwd(), *keep))
    if not replace:
        ours = protected is None and has_manifest(target)
        help = "choose another name" + " or --force" * ours
        raise ProjectError(f"`{target}` is there already", code="KR914", help=help)
    if protected is not None:
        raise not_replaced(target, f"it is, or holds, `{protected}`, which this command reads")
    if not has_manifest(target):
        raise not_replaced(target, f"it has no `{MANIFEST}` that knowreason wrote")


def not_replaced(target: Path, why: str) -> ProjectError:
    """The error KR924 that says why ``target`` stays what it is."""
    return ProjectError(
        f"`{target}` is not replaced: {why}",
        code="KR924",
        help="choose another name, or move what is there away",
    )


def holds(target: Path, paths: Iterable[Path]) -> Path | None:
    """The first of ``paths`` that is ``target`` or lies in it, links and all; else ``None``."""
    for path in paths if target.exists() else ():
        path = path.absolute()
        ways = (path, *path.parents, path.resolve(), *path.resolve().parents)
        if any(way.exists() and way.samefile(target) for way in ways):
            return path
    return None


def has_manifest(folder: Path) -> bool:
    """Whether there is a manifest in the folder that knowreason wrote."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and "knowreason" in manifest


def write_manifest(folder: Path, content: Mapping[str, object]) -> None:
    """Write what makes a folder ours: the version, and how it came about."""
    versions = {"knowreason": __version__, "python": platform.python_version()}
    manifest = {**versions, "format": FORMAT, **content}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def seal(folder: Path) -> None:
    """Note a digest of every file in the manifest, where there is one, and one of itself."""
    if not has_manifest(folder):
        return
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    digests = {file.relative_to(folder).as_posix(): _digest(file) for file in files}
    del digests[MANIFEST]
    manifest["files"] = digests
    manifest["digest"] = _own_digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of a folder that is as it was written; settings may be changed by people.

    Files beside those that were written are none of ours.

    Raises:
        ProjectError: KR911 where there is no manifest; KR960 for each file that is missing or is
            not what was written; KR961 for a folder of another format.
    """
    if not (folder / MANIFEST).is_file():
        raise ProjectError(f"`{folder}` has no `{MANIFEST}`", code="KR911")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version, digest = manifest.get("format", 0), manifest.get("digest")
    except (ValueError, AttributeError, RecursionError):
        raise _damaged(folder, {MANIFEST: CHANGED}) from None
    if version != FORMAT:
        raise ProjectError(
            f"`{folder}` has format {version!r}; knowreason {__version__} reads format {FORMAT}",
            code="KR961",
            help="train, compile or save it again with this version",
        )
    files = manifest.get("files")
    if digest != _own_digest(manifest) or not isinstance(files, dict):
        raise _damaged(folder, {MANIFEST: CHANGED})
    faults = {}
    for name, written in files.items():
        file, inner = folder / name, Path(name)
        if inner.is_absolute() or ".." in inner.parts or not file.is_file():
            faults[name] = "is missing"
        elif name != SETTINGS and _digest(file) != written:
            faults[name] = CHANGED
    if faults:
        raise _damaged(folder, faults)
    found: Mapping[str, Any] = manifest
    return found


def changed_settings(folder: Path, manifest: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
    """A warning where the settings of a folder are not those that were written."""
    file = folder / SETTINGS
    if _digest(file) == manifest["files"].get(SETTINGS):
        return ()
    help = "they are used as they are; what was learned rests on what they said before"
    return (Diagnostic("KR960", f"`{file}` was changed since training", "warning", help=help),)


def _damaged(folder: Path, faults: Mapping[str, str]) -> ProjectError:
    help = "train, compile or save it again, or copy it again from where it is whole"
    return ProjectError(
        diagnostics=[
            Diagnostic("KR960", f"damaged: `{folder / name}` {fault}", help=help)
            for name, fault in faults.items()
        ]
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]


def _own_digest(manifest: Mapping[str, Any]) -> str:
    content = json.dumps({k: v for k, v in manifest.items() if k != "digest"}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def partial_folder(target: Path) -> Path:
    """Where an unfinished run is; ``train --resume`` goes on from it."""
    target = target.resolve()
    return target.with_name(f".{target.name}.partial")


def write_text_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
