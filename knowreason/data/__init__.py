"""Data sets: tables bound to a program, vocabularies, splits, features, graphs.

=====================  =====================================================================
:class:`Dataset`       one table of ids a predicate; labels, evidence and hidden labels apart
:class:`Vocabulary`    names and ids of the things of a domain
:class:`FeatureTable`  what models may see of things
:class:`FeatureSource` a table of features, its key and its categories named
:class:`EdgeList`      a table of edges for graph models
:class:`EngineChoice`  what joins definitions and rules: DuckDB or Spark
=====================  =====================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.data.dataset import Dataset as Dataset
    from knowreason.data.edges import EdgeList as EdgeList
    from knowreason.data.edges import Edges as Edges
    from knowreason.data.edges import GraphTables as GraphTables
    from knowreason.data.engine.engine_choice import EngineChoice as EngineChoice
    from knowreason.data.engine.engine_choice import using_engine as using_engine
    from knowreason.data.features import FeatureSource as FeatureSource
    from knowreason.data.features import FeatureTable as FeatureTable
    from knowreason.data.features import ScoreColumns as ScoreColumns
    from knowreason.data.features import Standardisation as Standardisation
    from knowreason.data.features import design_matrix as design_matrix
    from knowreason.data.features import fit_standardisation as fit_standardisation
    from knowreason.data.graph.pyg_graph import to_pyg as to_pyg
    from knowreason.data.splits.holdout import folds as folds
    from knowreason.data.splits.holdout import known_at as known_at
    from knowreason.data.splits.holdout import known_labels as known_labels
    from knowreason.data.vocabulary import Vocabulary as Vocabulary

_HOMES = {
    "Dataset": "knowreason.data.dataset",
    "EdgeList": "knowreason.data.edges",
    "Edges": "knowreason.data.edges",
    "EngineChoice": "knowreason.data.engine.engine_choice",
    "FeatureSource": "knowreason.data.features",
    "FeatureTable": "knowreason.data.features",
    "GraphTables": "knowreason.data.edges",
    "ScoreColumns": "knowreason.data.features",
    "Standardisation": "knowreason.data.features",
    "Vocabulary": "knowreason.data.vocabulary",
    "design_matrix": "knowreason.data.features",
    "fit_standardisation": "knowreason.data.features",
    "folds": "knowreason.data.splits.holdout",
    "known_at": "knowreason.data.splits.holdout",
    "known_labels": "knowreason.data.splits.holdout",
    "to_pyg": "knowreason.data.graph.pyg_graph",
    "using_engine": "knowreason.data.engine.engine_choice",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
