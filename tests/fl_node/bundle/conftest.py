"""A finished task, played once: bundles only read it."""

from __future__ import annotations

import pytest
from doubles import Federation, federation_in, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    federation = federation_in(tmp_path_factory.mktemp("finished"))
    run(federation)
    return federation
