import pytest

from icapd.content.model import Shape
from icapd.content.whole import missing


@pytest.mark.parametrize(
    ("shape", "size", "whole"),
    [
        (Shape(), 10, True),
        (Shape(length=10), 10, True),
        (Shape(length=10), 11, True),
        (Shape(length=11), 10, False),
        (Shape(length=500), 0, False),
        (Shape(range="bytes 0-67/68"), 68, True),
        (Shape(range="Bytes  0 - 67 / 68"), 68, True),
        (Shape(range="bytes 0-67/68"), 67, False),
        (Shape(range="bytes 0-33/68"), 34, False),
        (Shape(range="bytes 34-67/68"), 34, False),
        (Shape(range="bytes 0-67/*"), 68, False),
        (Shape(range="bytes */68"), 68, False),
        (Shape(range="items 0-67/68"), 68, False),
        (Shape(range="nonsense"), 68, False),
        (Shape(range=""), 68, True),
        (Shape(range="", media=("multipart/byteranges; boundary=x",)), 68, False),
        (Shape(media=("multipart/byteranges; boundary=x",)), 68, True),
    ],
)
def test_what_is_whole(shape: Shape, size: int, whole: bool) -> None:
    assert (missing(shape, size) is None) is whole
