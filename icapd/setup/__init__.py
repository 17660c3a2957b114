"""What `icapd init` writes, and how it is taken back.

`plan` says what is wanted as files with their content, `squid_conf` what changes in an administrator's
squid.conf, `manifest` remembers what was made and removes it again if nobody has changed it since.
"""

from icapd.setup.manifest import Manifest
from icapd.setup.plan import Wanted, configuration, difference, draft, fragments, is_there, preview, write
from icapd.setup.squid_conf import included, takes_ports

__all__ = [
    "Manifest",
    "Wanted",
    "configuration",
    "difference",
    "draft",
    "fragments",
    "included",
    "is_there",
    "preview",
    "takes_ports",
    "write",
]
