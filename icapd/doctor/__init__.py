"""Probes of a running Squid with its icapd, for `icapd doctor`: each looks at one thing and changes nothing.

A probe is a small class (see `model`); all of them are listed in `probes`, in the order of their lines.
"""

from icapd.doctor.bench import Bench, Where
from icapd.doctor.model import Outcome, Result
from icapd.doctor.probes import examine

__all__ = ["Bench", "Outcome", "Result", "Where", "examine"]
