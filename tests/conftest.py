"""Shared fixtures."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# The first call of a numba kernel compiles it: seconds, on a cold cache. In CI the same examples
# every time, so that a change is not blamed for what it did not do.
settings.register_profile(
    "knowreason",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(  # a mutant is killed by any failure, the smallest takes longer
    "first_failure",
    settings.get_profile("knowreason"),
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("knowreason")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KNOWREASON_DATA", beside))
    if not folder.is_dir():
        pytest.skip("real data sets are not here (set KNOWREASON_DATA)")
    return folder


@pytest.fixture(scope="session")
def skimming_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small skimming project; read only."""
    from tests.projects import write_skimming

    return write_skimming(tmp_path_factory.mktemp("skimming") / "project")


@pytest.fixture(scope="session")
def skimming_run(skimming_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of that project; read only."""
    from knowreason.project.project_file import load_project
    from knowreason.run.run_training import train

    folder = tmp_path_factory.mktemp("runs") / "run"
    train(load_project(skimming_project), folder)
    return folder


@pytest.fixture(scope="session")
def spark_master():
    """Where the one shared session runs; skips where there is none."""
    pytest.importorskip("pyspark", reason="pyspark is not here (pip install 'knowreason[spark]')")
    java = os.environ.get("JAVA_HOME") or shutil.which("java")
    if not java:
        pytest.skip("Java is not here (17 or newer, for Spark)")
    master = os.environ.get("KNOWREASON_SPARK_MASTER", "local[1]")
    if master.startswith("local"):
        from tests.spark_sessions import small_session

        small_session(master)
    return master
