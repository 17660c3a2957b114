"""Lists of names, URLs, networks, digests: read from files, kept as one exact, mmapped index for all.

`spec` says which files make up a list; `formats` reads a file and accounts for every line;
`collect` and `build` make of them one `index`, so that one lookup tells every list a host is in;
`store` keeps built indexes in a cache directory, so that a start maps a file instead of
reading a million names. Nothing is approximate: a filter that errs blocks people.
"""

from icapd.lists.index import ListIndex
from icapd.lists.load import ListSet, load_lists
from icapd.lists.report import FileReport, Ignored, ListReport
from icapd.lists.spec import ListSpec, ListText, Source, list_specs

__all__ = [
    "FileReport",
    "Ignored",
    "ListIndex",
    "ListReport",
    "ListSet",
    "ListSpec",
    "ListText",
    "Source",
    "list_specs",
    "load_lists",
]
