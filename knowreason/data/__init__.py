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

from knowreason.data.dataset import Dataset
from knowreason.data.edges import EdgeList, Edges, GraphTables
from knowreason.data.engine.engine_choice import EngineChoice, using_engine
from knowreason.data.features import (
    FeatureSource,
    FeatureTable,
    ScoreColumns,
    Standardisation,
    design_matrix,
    fit_standardisation,
)
from knowreason.data.graph.pyg_graph import to_pyg
from knowreason.data.splits.holdout import folds, known_at, known_labels
from knowreason.data.vocabulary import Vocabulary

__all__ = [
    "Dataset",
    "EdgeList",
    "Edges",
    "EngineChoice",
    "FeatureSource",
    "FeatureTable",
    "GraphTables",
    "ScoreColumns",
    "Standardisation",
    "Vocabulary",
    "design_matrix",
    "fit_standardisation",
    "folds",
    "known_at",
    "known_labels",
    "to_pyg",
    "using_engine",
]
