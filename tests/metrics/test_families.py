"""Names as Prometheus and OpenMetrics want them."""

from __future__ import annotations

import re

from icapd.metrics.families import FAMILIES


def test_names_tell_kind_and_unit() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"icapd_[a-z][a-z_]*[a-z]", family.name)
        assert family.name.endswith("_total") is (family.kind == "counter")
        assert family.says.endswith(".")
        assert not re.search(r'[\\"\n]', family.says)
        assert not {"rule", "url", "client", "user", "host"} & set(family.labels)


def test_no_two_are_one_in_openmetrics_where_total_is_no_part_of_a_name() -> None:
    names = [family.name.removesuffix("_total") for family in FAMILIES]
    assert len(set(names)) == len(names)
