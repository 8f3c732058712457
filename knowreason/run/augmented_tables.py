"""``augment``: a project's tables with generated things of a rare class in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.binding.table_files import load_tables
from knowreason.errors import ProjectError, did_you_mean
from knowreason.logic import ModelDeclaration, Program
from knowreason.logic.canonical_text import statement_text
from knowreason.models import PredicateRows, make, rows_of
from knowreason.models.diffusion import Diffusion, Synthetic, mirrored
from knowreason.models.diffusion.augmented_model import frequency_shift
from knowreason.models.diffusion.synthesis import wanted
from knowreason.progress import Progress, step
from knowreason.project.manifests import refuse_existing, run_folder, write_manifest
from knowreason.project.partition import Parts, parts_of
from knowreason.project.plugins import load_plugins
from knowreason.project.project_file import paths_of, project_toml
from knowreason.project.project_tables import load_data, load_program, text_columns
from knowreason.project.schema import Project, TableSection
from knowreason.reasoner.fitting.model_fit import made
from knowreason.run.generated_rows import GeneratedRows

Links = Literal["shared", "copied", "none"]
DEFAULT = "diffusion(classifier=trees())"
PROJECT_FILE = "knowreason.toml"


@dataclass(frozen=True)
class GrownTable:
    """A table that was written.

    Attributes:
        table: its name in the project file; of the file without ``.parquet``.
        holds: ``things``, ``links`` or ``labels``.
        before, generated: rows as the project has them, and more of them.
    """

    table: str
    holds: str
    before: int
    generated: int


@dataclass(frozen=True)
class GrownClass:
    """A state of the predicate: things labelled so that may be learned from, and more of them."""

    state: str
    before: int
    generated: int


@dataclass(frozen=True)
class Augmentation:
    """What :func:`augment_project` wrote.

    Attributes:
        predicate: whose rare classes.
        model: what made them, in words.
        tables, classes: what there was and what was added.
        shift: per state by how much log-odds learned on the tables are too high.
        project: the project file over them, ``None`` where a random split would test on what is
            generated.
    """

    predicate: str
    model: str
    tables: tuple[GrownTable, ...]
    classes: tuple[GrownClass, ...]
    shift: tuple[float, ...]
    project: Path | None


def augment_project(
    project: Project,
    target: Path,
    *,
    predicate: str | None = None,
    count: int | None = None,
    links: Links = "shared",
    seed: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Augmentation:
    """Write a project's tables with generated things of rare classes, whole or not at all.

    Only labels of the training part are learned from. A generated thing has a row in every table
    with a row for each thing of its domain: columns that models read are generated, other bound
    ones are those of the real thing it is like, the rest is null. Real rows stay as they are.

    Args:
        project: a read project file.
        target: the folder to write, one Parquet file a table.
        predicate: whose; by default that of the one model ``diffusion`` of the rule file. Where it
            has none for the predicate, one of default options before ``trees()`` makes them.
        count: things of each rare class (of the positives where the predicate is Boolean) instead
            of the model's ``ratio``.
        links: to the real things themselves, to unlabelled copies of them, or none.
        seed: of everything drawn; the model's by default.
        force: replace a folder that this wrote before.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR914, KR924 as :func:`.refuse_existing`; KR936 where no model and no
            predicate says whose; KR937 where no class is rare, or has labels.
        ModelError: KR865 for a predicate of pairs or edges.
    """
    keep = paths_of(project)
    refuse_existing(target, replace=force, keep=keep)
    load_plugins(project)
    program = load_program(project)
    declaration, predicate = _chosen(program, predicate)
    with step(progress, "reading"):
        whole = load_data(project, program)
        parts = parts_of(project, program, whole)
    model = _model(project, declaration, links, seed)
    question = program.question_of(predicate)
    rows = rows_of(parts.train, question)
    model.check(parts.train, rows)
    counts = _counts(rows, model, count)
    with step(progress, "generating") as inner:
        synthetic = model.synthetic(parts.train, question, progress=inner, counts=counts)
        if links == "copied":
            synthetic = mirrored(parts.train, synthetic)
    with step(progress, "writing"), run_folder(target, replace=force, keep=keep) as folder:
        tables = _write_tables(project, whole, parts, synthetic, folder)
        written = _write_project(project, parts, tables, folder)
        said = statement_text(declaration) if declaration else DEFAULT
        said += f", seed {model.seed}"
        manifest = {"augment": {"predicate": question, "model": said}}
        write_manifest(folder, manifest)
    real = np.bincount(rows.labels[rows.labelled], minlength=rows.states)
    return Augmentation(
        question,
        said,
        tables,
        tuple(
            GrownClass(name, before, more)
            for name, before, more in zip(
                _states(rows), real.tolist(), counts.tolist(), strict=True
            )
        ),
        frequency_shift(rows, synthetic),
        target / PROJECT_FILE if written else None,
    )


def _chosen(program: Program, predicate: str | None) -> tuple[ModelDeclaration | None, str]:
    """The diffusion model that is asked for, if the program has one, and its predicate."""
    declared = [
        (model, name)
        for model in program.models
        if model.call.kind == Diffusion.registered_as
        for name in model.predicates
    ]
    asked = [entry for entry in declared if predicate in (None, entry[1])]
    if predicate is not None:
        names = [open_.name for open_ in program.open_predicates]
        if predicate not in names:
            raise ProjectError(
                f"the rule file asks nothing about `{predicate}`",
                code="KR936",
                help=did_you_mean(predicate, names) or f"--predicate, one of {', '.join(names)}",
            )
        return (asked[0][0] if asked else None), predicate
    if len(asked) == 1:
        return asked[0]
    if not asked:
        name = next(iter(program.open_predicates)).name if program.open_predicates else "P"
        raise ProjectError(
            "no model of the rule file is `diffusion`",
            code="KR936",
            help=f"--predicate {name}, or in the rule file: "
            f"model more for {name} = diffusion(classifier=trees())",
        )
    found = ", ".join(f"`{model.name}` for `{name}`" for model, name in asked)
    raise ProjectError(
        f"several models are `diffusion`: {found}", code="KR936", help="--predicate says whose"
    )


def _model(
    project: Project, declaration: ModelDeclaration | None, links: Links, seed: int | None
) -> Diffusion:
    if declaration is None:
        options: Mapping[str, Any] = {"seed": project.seed, "device": project.device}
        model = make("diffusion", {"classifier": make("trees"), **options})
    else:
        given = project.models.get(declaration.name)
        model = made(declaration, given, project.seed, project.device)
    assert isinstance(model, Diffusion)
    return replace(model, edges=links, seed=model.seed if seed is None else seed)


def _counts(rows: PredicateRows, model: Diffusion, count: int | None) -> NDArray[np.int64]:
    """How many things of each state to make."""
    real = np.bincount(rows.labels[rows.labelled], minlength=rows.states)
    counts = wanted(rows.labels[rows.labelled], rows.states, model.ratio)
    if count is not None and rows.classes is None:
        counts = np.array([0, count]) * (real > 1)
    elif count is not None:
        counts = np.where((real > 1) & (real < real.sum() / max((real > 0).sum(), 1)), count, 0)
    if not counts.any():
        found = ", ".join(f"{name}: {n:,}" for name, n in zip(_states(rows), real, strict=True))
        boolean = rows.classes is None and real[1] > 1
        raise ProjectError(
            f"no class of `{rows.predicate}` is rare among the labels to learn from ({found})",
            code="KR937",
            help="--count N makes positives all the same"
            if boolean
            else "at least two labelled things of a class, and fewer than of others",
        )
    return counts.astype(np.int64)


def _states(rows: PredicateRows) -> tuple[str, ...]:
    """Names of the states."""
    names = ("false", "true") if rows.classes is None else rows.classes
    return (*names, *("(none)",) * rows.optional)


def _write_tables(
    project: Project, whole: Dataset, parts: Parts, synthetic: Synthetic, folder: Path
) -> tuple[GrownTable, ...]:
    texts = text_columns(project)
    sources = load_tables(
        project.tables, memory_limit=project.memory_limit, texts=texts, zone=project.time.zone
    )
    generated = GeneratedRows(project, whole, parts.train, synthetic)
    grown = []
    for name, table in sources.items():
        holds, new, written = generated.enlarged(name, table)
        if not holds:
            continue
        pq.write_table(written, folder / f"{name}.parquet")
        grown.append(GrownTable(name, holds, table.num_rows, new))
    return tuple(grown)


def _write_project(
    project: Project, parts: Parts, tables: tuple[GrownTable, ...], folder: Path
) -> bool:
    """A project file over the tables, unless its split would test on what is generated."""
    if parts.test is not None and not project.split.by:
        return False
    sections = {grown.table: TableSection(path=f"{grown.table}.parquet") for grown in tables}
    text = project_toml(replace(project, tables=sections))
    (folder / PROJECT_FILE).write_text(text, encoding="utf-8")
    return True
