import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import knowreason as kr
from knowreason.beliefs.beliefs import MarginalTable
from knowreason.data.binding.frames import read_frame
from knowreason.models.labelling.function_table import FunctionLine, FunctionTable
from knowreason.reasoner.rule_weights import RuleWeight, RuleWeights

RESULTS = [
    MarginalTable(pa.table({"person": ["anna", "bob"], "probability": [0.7, 0.2]})),
    RuleWeights((RuleWeight("peers", "rule", 1.5, 0.2, 0.0, 2.0, "learned"),)),
    FunctionTable((FunctionLine("my", "true", 0.2, 0.1, 0.05, 0.9, 0.8, 0.95, 2.2),)),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_library_of_frames_reads_a_result(result):
    rows = result.to_arrow().to_pylist()
    columns = result.to_arrow().column_names
    assert pa.table(result).column_names == columns
    assert pl.DataFrame(result).columns == columns
    assert result.to_polars().height == len(result.to_pandas()) == len(result) == len(rows)
    assert list(result.to_pandas().columns) == columns
    assert duckdb.from_arrow(pa.table(result)).columns == columns
    assert read_frame(result, "t").table.num_rows == len(rows)
    assert isinstance(result.to_pandas(), pd.DataFrame)


def test_beliefs_of_one_program_are_scores_of_another():
    """A table result goes in as it comes out."""
    program = kr.loads('domain P\nquery Bad(P)\nmodel risk for Bad = column("risk")')
    risk = pa.table({"p": ["a", "b"], "risk": [0.9, 0.1]})
    data = kr.Dataset.from_frames(program, scores={"Bad": MarginalTable(risk)})
    assert data.count("P") == 2
