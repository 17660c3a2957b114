"""icapd measured beside c-icap, in one run, on the same cores: `python -m tests.bench --help`.

Method: one server process tree on one core, the load generator (icapload.c) on another, A B A B for some
rounds, medians. Every answer is parsed and checked by the generator; a run with errors is no result.
Server CPU per transaction is the steadiest figure, since it does not depend on what else the machine does.
"""
