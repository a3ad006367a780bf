"""A narrow OMG-Seg that is taught once for all slow tests that want real predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from models.networks.omgseg import OmgSeg

STEPS = 500
"""A minute and a half on one core that does nothing else."""


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> OmgSeg:
    """The network that has seen two thousand scenes; tests that want it need a long timeout."""
    import torch

    from models.networks.omgseg import narrow_omgseg
    from tests.models import omgseg_narrow as narrow
    from tests.training.omgseg_scenes import NAMES, table, teach

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    network = narrow_omgseg(0)
    names = narrow.words(tmp_path_factory.mktemp("names")).table(table(NAMES))
    teach(network, names, STEPS)
    torch.set_num_threads(before)
    return network
