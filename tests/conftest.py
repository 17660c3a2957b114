"""What every test shares: hypothesis without a clock, since the machine may be busy, and one clamd."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.clam import CLAMD, Clam, clam_running

settings.register_profile(
    "quick", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--squid",
        default=os.environ.get("ICAPD_TEST_SQUID"),
        metavar="PROGRAM",
        help="the Squid to test with, instead of the system's (tests/squids/get prints one); also $ICAPD_TEST_SQUID",
    )
    parser.addoption(
        "--deep", action="store_true", help="fuzz each parser with 100,000 inputs instead of 200"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let the chosen Squid be the first in PATH, where icapd, its demo and the tests look for it."""
    squid = config.getoption("--squid")
    if squid:
        os.environ["ICAPD_TEST_SQUID"] = squid
        os.environ["PATH"] = f"{Path(squid).absolute().parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def clam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clam]:
    """A clamd for all who leave it as it is; who wants to hurt one takes tests.clam.clam_running."""
    if CLAMD is None:
        pytest.skip("needs clamd")
    with clam_running(tmp_path_factory.mktemp("clam") / "d") as running:
        yield running
