"""Every grounding test runs on each relational engine: on Spark under the marker ``spark``."""

import pytest

from knowreason.data.engine.engine_choice import EngineChoice, using_engine


@pytest.fixture(
    autouse=True, scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)]
)
def engine(request):
    """Name of the engine that joins definitions and rules in this test."""
    if request.param == "duckdb":
        yield request.param
        return
    master = request.getfixturevalue("spark_master")
    with using_engine(EngineChoice("spark", master, 1)):
        yield request.param
