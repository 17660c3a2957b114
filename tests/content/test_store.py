import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from icapd.content.budget import Bounds, Budget, LimitReached, Stream
from icapd.content.store import IN_MEMORY, Store


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY])
def test_what_was_kept_reads_back(size: int, tmp_path: Path) -> None:
    before = descriptors()
    store = Store(str(tmp_path))
    data = os.urandom(size)
    piece, failure = store.keep((data[at : at + 70_000] for at in range(0, size, 70_000)), None)
    assert failure is None
    assert not list(tmp_path.iterdir())
    assert piece == Store().piece_of(piece.fd, size)
    with piece.mapped() as there:
        assert bytes(there[:]) == data
    store.close()
    assert descriptors() == before


def test_a_limit_ends_it_and_what_came_stays() -> None:
    store = Store()
    stream = Stream(Budget(Bounds(unpacked=25), 1), 100)
    piece, failure = store.keep([b"0123456789"] * 5, stream)
    assert isinstance(failure, LimitReached)
    assert piece.size == 20
    store.drop(piece)
    assert store.held == []


def test_an_exception_of_the_chunks_is_told() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("x")

    store = Store()
    piece, failure = store.keep(chunks(), None)
    assert (piece.size, type(failure)) == (4, KeyError)
    store.close()


def test_no_room_is_an_os_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "missing"))
    with pytest.raises(OSError, match="No such file"):
        store.keep([b"x" * (IN_MEMORY + 1)], None)


@pytest.mark.parametrize("size", [1, 4095, 4096, 2 * IN_MEMORY, 4 * IN_MEMORY, 5 * IN_MEMORY])
def test_searches_find_and_stay_inside(size: int) -> None:
    store = Store()
    data = bytes(size - 1) + b"P"
    piece, _ = store.keep([data], None)
    with piece.mapped() as there:
        for wanted in (b"P", b"PK\x03\x04", b"\0P", b"a\0b"):
            assert there.find(wanted) == data.find(wanted)
            assert there.rfind(wanted) == data.rfind(wanted)
            assert there.find(wanted, size // 2) == data.find(wanted, size // 2)
            assert there.rfind(wanted, 0, size // 2) == data.rfind(wanted, 0, size // 2)
    store.close()
