"""What a fuzz target is, the one registry of them, and how much each may cost.

A target draws inputs and checks one: whatever comes, nothing escapes but what the parser says it raises. The
time is the thread's own CPU time, not the wall's, and memory is what Python allocates, seen on a sample.
"""

from __future__ import annotations

import gc
import re
import statistics
import time
import tracemalloc
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, example, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

QUICK = 200  # examples in a run of all tests
DEEP = 100_000
MEDIAN = 0.050  # s of CPU time
WORST = 3.0  # s of CPU time of a single input: what is not linear takes minutes
EXPANSION = 100  # times the input
SAMPLE = 40  # one of so many inputs has its memory measured


@dataclass(frozen=True, slots=True)
class Target:
    """One parser under fuzz. `inputs` draws, `check` takes one of them; `known` are past findings.

    `spare` bytes may be allocated whatever the input: tables and buffers of a fixed size. `claims`: decoders
    ask for what a header announces, but write to no more than comes.
    """

    name: str
    inputs: SearchStrategy[Any]
    check: Callable[[Any], object]
    known: tuple[Any, ...] = ()
    spare: int = 1 << 20
    claims: bool = False


TARGETS: dict[str, Target] = {}


def target(
    name: str,
    inputs: SearchStrategy[Any],
    *,
    known: tuple[Any, ...] = (),
    spare: int = 1 << 20,
    claims: bool = False,
) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    """Register a check under `name`."""

    def register(check: Callable[[Any], object]) -> Callable[[Any], object]:
        assert name not in TARGETS
        TARGETS[name] = Target(name, inputs, check, known, spare, claims)
        return check

    return register


def size_of(value: object) -> int:
    """Bytes or characters in an input, whatever it is made of."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(size_of(key) + size_of(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return sum(map(size_of, value))
    return 8


@dataclass(slots=True)
class Meter:
    """What a target's inputs cost."""

    target: Target
    times: list[float] = field(default_factory=list)
    worst: float = 0.0
    peak: int = 0
    checked: int = 0

    def measure(self, value: Any) -> None:
        """Check one input; AssertionError for what costs too much."""
        self.checked += 1
        if zlib.crc32(repr(value).encode("utf-8", "replace")) % SAMPLE == 0:
            self._with_memory(value)
            return
        took = self._timed(value)
        self.times.append(took)
        if took > WORST:  # a virtual machine that was stopped for a while charges us with it
            took = min(took, self._timed(value))
        self.worst = max(self.worst, took)
        assert took <= WORST, f"{took:.2f} s for {size_of(value)} bytes"

    def _timed(self, value: Any) -> float:
        began = time.thread_time()
        self.target.check(value)
        return time.thread_time() - began

    def _with_memory(self, value: Any) -> None:
        self.target.check(value)  # what is kept for good, such as a module's tables, is not this input's
        tracemalloc.start()
        try:
            self.target.check(value)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        size = size_of(value)
        bound = EXPANSION * size + self.target.spare
        if peak > bound and self.target.claims:  # memory it is when it is written to
            peak = _grown(lambda: self.target.check(value))
        self.peak = max(self.peak, peak)
        assert peak <= bound, f"{peak} bytes for {size}"

    @property
    def median(self) -> float:
        return statistics.median(self.times) if self.times else 0.0


def _grown(call: Callable[[], object]) -> int:
    """Return by how many bytes of memory that is really there this process was larger during a call, at most."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now (proc(5))
    before = _peak()
    call()
    return _peak() - before


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def run(one: Target, examples: int, *, shrink: bool = True) -> Meter:
    """Check `examples` inputs and all that are known. Raises what a check raised, its smallest input named."""
    meter = Meter(one)
    phases = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(one.inputs)
    def each(value: Any) -> None:
        try:
            meter.measure(value)
        except Exception as error:
            error.add_note(f"{one.name}: {value!r:.2000}")
            raise

    for value in one.known:
        each = example(value)(each)
    each()
    assert meter.median <= MEDIAN, f"{one.name}: {meter.median * 1000:.1f} ms in the median"
    return meter
