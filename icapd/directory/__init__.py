"""Which groups a user is in: from ICAP headers, from a file, from LDAP (an optional extra).

Asked before the policy is, and only if one of its rules asks about groups. An answer at hand costs a
look into a dict; otherwise the transaction waits.
"""

from icapd.directory.groups import Directory, asks_groups
from icapd.directory.load import load_directory, unasked_directory
from icapd.directory.lookups import Pending

__all__ = ["Directory", "Pending", "asks_groups", "load_directory", "unasked_directory"]
