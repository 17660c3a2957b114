"""List files of every format, as entries; each line is taken, or ignored for a reason that is told."""

from icapd.lists.formats.read import read_source

__all__ = ["read_source"]
