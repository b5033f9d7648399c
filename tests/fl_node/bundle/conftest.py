"""A finished task, played once: bundles only read it."""

from __future__ import annotations

import pytest
from doubles import Federation, played_in


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("finished"))
