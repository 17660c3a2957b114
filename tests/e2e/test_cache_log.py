"""Squid finds nothing to complain about in icapd's ICAP, while c-icap-client uses the same icapd process."""

import subprocess
from pathlib import Path

import pytest

from icapd.demo.complaints import complaints
from icapd.demo.exchange import Fetch
from icapd.demo.origin import pattern


def c_icap_client(port: int, *arguments: str) -> str:
    command = ["c-icap-client", "-i", "127.0.0.1", "-p", str(port), "-v", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=20, check=True)
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.parametrize("size", [0, 1024, 65537, 1_000_000])
def test_no_complaint_with_two_kinds_of_client(fetch: Fetch, tmp_path: Path, size: int) -> None:
    site, process = fetch.lab.site, fetch.lab.icapd.process.pid
    port = site.ports["icap"]
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(pattern(size))
    urls = ("http://open.lab.test:$http", "https://open.lab.test:$https", "https://blocked.lab.test:$https")
    for url in urls:
        fetch(f"{url}/bytes/{size}")
        assert "200" in c_icap_client(port, "-s", "reqmod")
        for more in ([], ["-nopreview"], ["-no204"], ["-no204", "-nopreview"]):
            got.unlink(missing_ok=True)
            response = ["-s", "respmod", "-resp", "http://other.lab.test/x", "-f", str(sent), "-o", str(got)]
            said = c_icap_client(port, *response, *more)
            assert "ICAP/1.0 20" in said
            if len(more) == 2:  # with a preview it takes a 204 even so
                assert got.read_bytes() == pattern(size)
        blocked = c_icap_client(port, "-s", "reqmod", "-req", "http://blocked.lab.test/x")
        assert "403" in blocked
        fetch(f"{url}/echo", "--data-binary", f"@{sent}")
    assert fetch.lab.icapd.process.pid == process
    assert fetch.lab.icapd.process.poll() is None
    assert complaints(site.logs / "cache.log") == []
