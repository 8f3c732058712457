"""Modules that register models, engines, learners or metrics of one's own for a project.

They are code, so they are looked up beside a project file that the user names (or among what
is installed), never in a run folder, which may come from anywhere.
"""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path

from knowreason.errors import ProjectError
from knowreason.project.schema import Project


def load_plugins(project: Project) -> None:
    """Import the ``plugins`` of a project, first looked up beside the project file.

    Raises:
        ProjectError: KR926 for a module that is not there, KR927 for one that fails when it
            is imported or whose name is taken by another module.
    """
    directory = str(project.directory)
    for name in project.plugins:
        beside = _origin(name, [directory])
        loaded = sys.modules.get(name)
        if loaded is not None:
            if beside is not None and getattr(loaded, "__file__", None) != beside:
                raise ProjectError(
                    f"plugin `{name}`: another module of that name is loaded already",
                    code="KR927",
                    help="give the plugin a name of its own",
                )
            continue
        sys.path.insert(0, directory)
        try:
            _import(name, f"neither `{directory}` nor what is installed holds it")
        finally:
            sys.path.remove(directory)
        if beside is not None and directory not in sys.path:
            sys.path.append(directory)  # what a plugin imports later; it shadows nothing here


def require_plugins(project: Project, folder: Path) -> None:
    """Import the plugins a run folder names, from anywhere but that folder.

    Raises:
        ProjectError: KR926 for a module that is neither loaded nor installed.
    """
    inside = folder.resolve()
    for name in project.plugins:
        if name in sys.modules:
            continue
        elsewhere = [path for path in sys.path if inside not in _with_parents(Path(path))]
        if _origin(name, elsewhere) is None:
            raise ProjectError(
                f"`{folder}` needs the plugin `{name}`, which is not installed",
                code="KR926",
                help="name the project it lies beside: `--project PROJECT`, "
                "`load_run(..., project=PROJECT)`",
            )
        before, sys.path[:] = list(sys.path), elsewhere
        try:
            _import(name, "it is not installed")
        finally:
            sys.path[:] = before


def _with_parents(path: Path) -> tuple[Path, ...]:
    resolved = path.resolve()
    return (resolved, *resolved.parents)


def _origin(name: str, paths: list[str]) -> str | None:
    """The file a module would be imported from."""
    invalidate_caches()
    top, *inner = name.split(".")
    spec = PathFinder.find_spec(top, paths)
    for index in range(len(inner)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        dotted = ".".join([top, *inner[: index + 1]])
        spec = PathFinder.find_spec(dotted, list(spec.submodule_search_locations))
    return None if spec is None else spec.origin


def _import(name: str, absent: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name and not name.startswith(f"{error.name}."):
            raise ProjectError(f"plugin `{name}` needs a module: {error}", code="KR927") from error
        raise ProjectError(f"there is no plugin `{name}`: {absent}", code="KR926") from None
    except Exception as error:  # whatever a user's module raises is the user's to see
        what = f"{type(error).__name__}: {error}"
        raise ProjectError(f"plugin `{name}` cannot be imported: {what}", code="KR927") from error
