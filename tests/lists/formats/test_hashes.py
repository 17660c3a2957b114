"""Lists of digests."""

from __future__ import annotations

import pytest

from tests.lists.reading import ignored, taken


def test_digests() -> None:
    md5, sha1, sha256 = "AB" * 16, "ab" * 20, "cd" * 32
    assert taken("md5", f"{md5}  file\n") == [f"md5 {md5.lower()} file"]
    assert taken("sha256", f"Win.Evil:{sha256}\n# x\n{sha256} *a b\n{sha256}\n") == [
        f"sha256 {sha256} Win.Evil",
        f"sha256 {sha256} a b",
        f"sha256 {sha256}",
    ]
    assert taken("files", f"{md5}:68:Eicar-Test\n{sha256}\n") == [
        f"md5 {md5.lower()} Eicar-Test",
        f"sha256 {sha256}",
    ]
    assert taken("md5", f'{md5},"x\x1b[2Jy"') == [f"md5 {md5.lower()} x[2Jy"]
    assert ignored("sha256", f"{md5}\n{sha1}\nxyz\n")[2] == (3, "no digest")
    assert ignored("sha256", md5) == [(1, "a digest of another kind than sha256")]


@pytest.mark.parametrize(
    "empty",
    ["d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
)
def test_the_digest_of_nothing_is_refused(empty: str) -> None:
    assert ignored("files", empty) == [(1, "the digest of an empty file")]
