"""Shared fixtures."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KNOWREASON_DATA", beside))
    if not folder.is_dir():
        pytest.skip("real data sets are not here (set KNOWREASON_DATA)")
    return folder
