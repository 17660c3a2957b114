"""The lab, twice: once with each kind of CA, and of access log."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.squid.lab import Lab, make_lab, start_squid, stop_lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """A running Squid. Its directory is not pytest's, which Squid's user cannot enter."""
    directory = Path(tempfile.mkdtemp(prefix="icapd-squid-"))
    directory.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(directory, "proxy", "proxy")  # Squid writes its logs there
    lab = make_lab(directory, key="rsa", log_formats=("icapd",))
    try:
        start_squid(lab)
        yield lab
    finally:
        stop_lab(lab)
        shutil.rmtree(directory, ignore_errors=True)
