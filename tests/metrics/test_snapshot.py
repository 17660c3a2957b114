"""What workers tell, taken and merged."""

from __future__ import annotations

import json
from dataclasses import asdict

from icapd.metrics.snapshot import ListFile, ScannerFacts, Serving, merged

UP = Serving((ScannerFacts("clamd", "clamd", "open", version="1"),), (ListFile("a", "/a", 1.0),))
DOWN = Serving(
    (ScannerFacts("clamd", "clamd", "open", False, "no answer", "1"),), (ListFile("a", "/a", 2.0),)
)


def test_it_is_told_as_json() -> None:
    assert Serving.of(json.loads(json.dumps(asdict(DOWN)))) == DOWN


def test_a_scanner_is_up_if_all_say_so() -> None:
    assert merged([UP, UP]) == UP
    for several in ([UP, DOWN], [DOWN, UP]):
        assert merged(several).scanners == DOWN.scanners
    assert merged([]) == Serving()
