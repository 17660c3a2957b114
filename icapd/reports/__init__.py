"""What is told of the past: a period in figures, as text and as a page, and why one decision came about.

Figures come from icapd.events.report, decisions from the policy as it was then. Nothing here reads options or
prints; whatever a client sent is escaped where it is put into text or HTML.
"""
