"""A data set's relations on disk, as tables of ids: what grows is compared with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from knowreason.data.dataset import Dataset
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.vocabulary import Vocabulary
from knowreason.logic import Program
from knowreason.mapped_columns import opened, store

FORMAT = 1
STRUCTURE = "relations.json"
KINDS = ("facts", "attributes", "evidence", "labels")


def save_relations(data: EncodedTables, folder: Path) -> None:
    """Write facts, attributes, evidence, labels and names into a new folder."""
    folder.mkdir()
    tables = {kind: getattr(data, kind) for kind in KINDS}
    names = {
        domain: [pa.table({"name": vocabulary.names}), vocabulary.enumerated]
        for domain, vocabulary in data.vocabularies.items()
    }
    store({"names": names, **tables}, folder, STRUCTURE, FORMAT)


def load_relations(folder: Path, program: Program) -> Dataset:
    """What :func:`save_relations` wrote, memory-mapped.

    Raises:
        OSError, ValueError: where it is missing or damaged, or of another version.
    """
    stored: dict[str, Any] = opened(folder, STRUCTURE, FORMAT, {})
    vocabularies = {
        domain: Vocabulary(domain, table.column(0).combine_chunks(), enumerated)
        for domain, (table, enumerated) in stored.pop("names").items()
    }
    return Dataset(program=program, vocabularies=vocabularies, hidden={}, **stored)
