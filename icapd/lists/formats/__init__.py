"""List files of every format, as entries; each line is taken, or ignored for a reason that is told."""

from icapd.lists.formats.read import HEAD, NoListError, read_source

__all__ = ["HEAD", "NoListError", "read_source"]
