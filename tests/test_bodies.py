"""Sizes and rates in icapd.yaml."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from icapd.bodies import DeliveryOptions, SpoolOptions


@pytest.mark.parametrize(
    ("text", "size"), [("65536", 65536), ("64k", 65536), ("20 MB", 20 << 20), ("1GiB", 1 << 30), ("7b", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert SpoolOptions.model_validate({"memory": text}).memory == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5m", "1t", "1 2", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValidationError, match="not a size such as"):
        SpoolOptions.model_validate({"memory": text})


def test_rates() -> None:
    assert DeliveryOptions.model_validate({"rate": "unlimited"}).rate == 0
    assert DeliveryOptions.model_validate({"rate": "8k"}).rate == 8192
