"""`python -m icapd` is `icapd`."""

import sys

from icapd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
