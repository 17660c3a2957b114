"""`icapd test`: hold a policy against the requests its administrator wrote down."""

from __future__ import annotations

import click


@click.command()
def test() -> int:
    """Not yet."""
    return 2
