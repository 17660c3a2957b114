"""A lab on loopback: Squid with ssl-bump, icapd and origins that record whatever reaches them.

`Lab` (lab.py) starts and stops it and owns its throwaway directory; `scenario.py` is what
`icapd demo` asks and expects, as data; `table.py` prints it. tests/e2e uses the same lab.
Everything listens on 127.0.0.1 at free ports, and every process is ended by its own id.
"""
