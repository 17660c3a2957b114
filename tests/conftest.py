"""What every test shares: hypothesis without a clock, since the machine may be busy, and one clamd."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.clam import CLAMD, Clam, clam_running

settings.register_profile(
    "quick", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def clam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clam]:
    """A clamd for all who leave it as it is; who wants to hurt one takes tests.clam.clam_running."""
    if CLAMD is None:
        pytest.skip("needs clamd")
    with clam_running(tmp_path_factory.mktemp("clam") / "d") as running:
        yield running
