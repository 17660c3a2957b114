"""The lab, started once for all tests of the fragment; each run has a directory Squid's user can enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.squid.lab import Lab, running_lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """A running Squid with an RSA CA and icapd's access log format."""
    with running_lab(key="rsa", log_formats=("icapd",)) as lab:
        yield lab
