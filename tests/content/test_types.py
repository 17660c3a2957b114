import tarfile
import zlib

import pytest

from icapd.content.types import hidden, types_of
from tests.cases.more_archives import cab, rar4, rar5
from tests.content.making import tarred


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_are_tars(form: int) -> None:
    assert "tar" in types_of(tarred(("a", b"b"), form=form))


def test_a_tar_without_a_signature_shows_by_its_check_sum() -> None:
    head = bytearray(tarred(("a", b"b")))
    head[257:265] = bytes(8)
    head[148:156] = b"        "
    head[148:155] = b"%06o\0" % sum(head[:512])
    assert types_of(bytes(head)) == ("tar",)
    head[0] ^= 1
    assert types_of(bytes(head)) == ()


@pytest.mark.parametrize(
    "data", [b"", b"a", b"\0" * 600, b"MZ is the postcode of Mainz", b"Rar! he said" * 100]
)
def test_near_misses(data: bytes) -> None:
    assert types_of(data) == ()


def test_archives_behind_something_else() -> None:
    seven = b"7z\xbc\xaf\x27\x1c\0\4" + zlib.crc32(bytes(20)).to_bytes(4, "little") + bytes(20)
    data = b"MZ" + b"x" * 100 + seven + rar4(b"a", b"b") + rar5(b"a", b"b") + cab(b"a", b"b")
    assert [(name, data[at:][:4]) for name, at in hidden(data)] == [
        ("rar", b"Rar!"),
        ("rar", b"Rar!"),
        ("7z", b"7z\xbc\xaf"),
        ("cab", b"MSCF"),
    ]
    assert list(hidden(b"7z\xbc\xaf\x27\x1c\0")) == []


def test_a_program_that_knows_archives_has_their_signatures_and_no_archive() -> None:
    signatures = (b"7z\xbc\xaf\x27\x1c\0", b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\1\0", b"MSCF\0\0\0\0")
    assert list(hidden(b"MZ" + b"".join(one + b"code" * 20 for one in signatures) * 3)) == []
