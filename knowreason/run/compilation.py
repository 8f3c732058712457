"""``compile``: a project's training part as a stored factor graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from knowreason.diagnostics import Diagnostic
from knowreason.grounding import Grounding, ground
from knowreason.grounding.rule_report import RuleReport
from knowreason.inference.exact.exact import prepare
from knowreason.progress import Progress, step
from knowreason.project.manifests import refuse_existing, run_folder
from knowreason.project.project_file import paths_of
from knowreason.project.project_tables import load_parts
from knowreason.project.schema import Project
from knowreason.reasoner.rule_coupling import with_rule_warnings
from knowreason.reasoner.serving.touched_atoms import extend
from knowreason.run.compiled_graph import load_earlier, save_compiled


@dataclass(frozen=True, slots=True)
class ComponentSizes:
    """Connected components of about one size.

    Attributes:
        size: range of atoms, as text.
        components, atoms: how many.
        exact: components that exact inference can serve; beliefs about the others will be
            confirmed by a second opinion, or not.
    """

    size: str
    components: int
    atoms: int
    exact: int


@dataclass(frozen=True)
class Compiled:
    """What grounding did with each rule, the sizes of components, and what to know.

    Attributes:
        reports: one a rule.
        components: by size.
        warnings: what to know.
        touched: atoms whose groundings were made, where rows were appended.
    """

    reports: tuple[RuleReport, ...]
    components: tuple[ComponentSizes, ...]
    warnings: tuple[Diagnostic, ...]
    touched: int | None = None


def compile_project(
    project: Project,
    target: Path | None,
    *,
    append: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Compiled:
    """Ground a project's training part and, with a ``target``, store it.

    Args:
        project: whose tables hold all rows.
        target: where to store the graph.
        append: what was stored of fewer rows; what new ones touch is grounded, and the folder is
            replaced unless there is a ``target``.
        force: replace a target that is there.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR914 where the target is there, KR924 where it is not ours to replace;
            KR911 and KR935 where ``append`` holds no graph of this project's rules.
        GroundingError: as :func:`knowreason.grounding.ground`; KR655 where rows cannot be
            appended.
    """
    keep = paths_of(project)
    force = force or target is None
    target = append if target is None else target
    if target is not None:
        refuse_existing(target, replace=force, keep=keep)
    touched = None
    if append is None:
        grounding = ground_project(project, progress)
    else:
        with step(progress, "reading"):
            train = load_parts(project).train
            earlier = load_earlier(append, project, train.program)
        with step(progress, "grounding what new rows touch"):
            grounding, touched = extend(earlier, train, **_options(project))
    if target is not None:
        with step(progress, "storing"), run_folder(target, replace=force, keep=keep) as folder:
            save_compiled(grounding, project, folder)
    with step(progress, "components"):
        sizes = component_sizes(grounding)
    return Compiled(grounding.reports, sizes, with_rule_warnings(grounding).warnings, touched)


def ground_project(project: Project, progress: Progress | None = None) -> Grounding:
    """The grounding of a project's training part, without models."""
    with step(progress, "reading"):
        train = load_parts(project).train
    with step(progress, "grounding") as inner:
        return ground(train.program, train, **_options(project), progress=inner)


def _options(project: Project) -> dict[str, Any]:
    return {
        "limit": project.ground_limit,
        "memory_limit": project.memory_limit,
        "threads": project.infer.threads,
        "hard_violations": project.learn.hard_violations,
    }


def component_sizes(grounding: Grounding) -> tuple[ComponentSizes, ...]:
    """Components by powers of ten of their size."""
    prepared = prepare(grounding.graph)
    label = prepared.component.numpy()
    count = prepared.component_count
    sizes = np.bincount(label[label >= 0], minlength=count)
    exact = np.zeros(count, dtype=bool)
    exact[label[prepared.tractable.numpy() & (label >= 0)]] = True
    power = np.ceil(np.log10(sizes)).astype(np.int64)
    return tuple(
        ComponentSizes(
            "1" if p == 0 else f"{10 ** (p - 1) + 1:,} to {10**p:,}",
            int((power == p).sum()),
            int(sizes[power == p].sum()),
            int(exact[power == p].sum()),
        )
        for p in np.unique(power).tolist()
    )
