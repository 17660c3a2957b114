"""`python -m icapd.content`: one child process that inspects bodies; the server starts it."""

from __future__ import annotations

import sys

from icapd.content.child import main

if __name__ == "__main__":
    sys.exit(main())
