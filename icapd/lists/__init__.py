"""Lists of domains: read from files, kept as one exact, mmapped index that all workers share.

`formats` reads a file and accounts for every line; `index` holds the names of all lists in
one trie, so that one lookup tells every list a host is in; `store` keeps built indexes in a
cache directory under the digest of what they were made from, so that a start maps a file
instead of reading a million names. Nothing is approximate: a filter that errs blocks people.
"""

from icapd.lists.index import ListIndex
from icapd.lists.load import ListSet, load_lists
from icapd.lists.report import Ignored, ListReport

__all__ = ["Ignored", "ListIndex", "ListReport", "ListSet", "load_lists"]
