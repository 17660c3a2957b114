"""Fuzzing of everything that reads what others wrote; one registry of targets, see `targets`."""

from __future__ import annotations

import importlib

MODULES = ("wire", "content", "texts", "output", "links")


def everything() -> None:
    """Import all targets into the registry."""
    for name in MODULES:
        importlib.import_module(f"tests.fuzz.{name}")
