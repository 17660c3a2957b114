"""What is counted of scans beside their verdicts; it outlives a reload, as the verdict cache does."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class AdapterCounts:
    """How often one adapter found nothing, something, or could not look; `seconds` in all."""

    clean: int = 0
    found: int = 0
    errors: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class ScanCounts:
    """Of all adapters by name, and how inspections failed: a child was late, it died, none became free."""

    adapters: dict[str, AdapterCounts] = field(default_factory=dict)
    late: int = 0
    died: int = 0
    busy: int = 0

    def told(self, name: str, *, found: bool, failed: bool, seconds: float) -> None:
        """Count what an adapter said."""
        one = self.adapters.setdefault(name, AdapterCounts())
        one.seconds += seconds
        if failed:
            one.errors += 1
        elif found:
            one.found += 1
        else:
            one.clean += 1
