import mmap
import os

from hypothesis import given
from hypothesis import strategies as st

from icapd.content.literal import Literal, Literals, Words

FEW = st.binary(max_size=40) | st.text("ab\xff\0\n.|", max_size=40).map(lambda text: text.encode("latin-1"))


@given(FEW.filter(bool), FEW, FEW, st.integers(0, 50))
def test_it_finds_what_bytes_find(text: bytes, before: bytes, after: bytes, start: int) -> None:
    one = Literal(text)
    for data in (before + text + after, before + after):
        at = min(start, len(data))
        assert one.find(data, at) == data.find(text, at)
        assert one.is_in(data) == (text in data)
        assert Words(b"no such thing here", text).any_in(data) == (text.lower() in data.lower())
        assert Literals(b"no such thing here", text).any_in(data) == (text in data)


def test_a_mapped_file_is_read_to_its_end() -> None:
    fd = os.memfd_create("file")
    os.write(fd, bytes(mmap.PAGESIZE * 3 - 4) + b"PK\3\4")
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as data:
        assert Literal(b"PK\3\4").find(data) == mmap.PAGESIZE * 3 - 4
        assert Literal(b"PK\3\4\0").find(data) == -1
    os.close(fd)
