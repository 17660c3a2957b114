"""Content: codings undone, archives unpacked, types, macros and encryption recognised, all within limits.

What parses hostile bytes runs in child processes with bounds on memory and time; a child that dies
gives a finding, not an outage. Nothing here knows Twisted: icapd.adapters owns the children.
"""
