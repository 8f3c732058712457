"""Every grounding test runs on each relational engine: on Spark under the marker ``spark``."""

import os
import shutil

import pytest

from knowreason.data.engine.engine_choice import EngineChoice, using_engine

SMALL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    "spark.default.parallelism": "1",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",  # a plan is compiled for longer than it runs
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="session")
def spark_master():
    """Where the one shared session runs; skips where there is none."""
    pytest.importorskip("pyspark", reason="pyspark is not here (pip install 'knowreason[spark]')")
    java = os.environ.get("JAVA_HOME") or shutil.which("java")
    if not java:
        pytest.skip("Java is not here (17 or newer, for Spark)")
    master = os.environ.get("KNOWREASON_SPARK_MASTER", "local[1]")
    if master.startswith("local"):
        small_session(master)
    return master


def small_session(master):
    """A session for tiny tables, which engines then share."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master(master)
    for name, value in SMALL.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


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
