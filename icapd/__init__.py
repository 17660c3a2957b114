"""icapd: a web filter for Squid that answers REQMOD and RESPMOD over ICAP (RFC 3507).

Layers, importing downward only (held by import-linter, see setup.cfg):
cli → server → adaptation → squid | pages | events → config → policy → lists → transaction → http.
`protocol` is a sans-IO ICAP/1.0 connection and imports only `http`.
"""

__version__ = "0.1.0"
