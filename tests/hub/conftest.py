"""`class_hub`: a JupyterHub of the course on the loopback, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_client import Hub, hub

from labs_lib import models, paths
from tools import proxy


@pytest.fixture(scope="session")
def class_hub(tmp_path_factory: pytest.TempPathFactory, labs_home: Path) -> Iterator[Hub]:
    """A hub whose students share this machine's converted model."""
    pytest.importorskip("jupyterhub", reason="no JupyterHub: pip install 'lora-lab[hub]'")
    models.prepare_bundled()
    with hub(tmp_path_factory.mktemp("hub"), proxy.bring(), paths.cache_dir().resolve()) as found:
        yield found
