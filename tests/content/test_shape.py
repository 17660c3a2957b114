import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.model import Shape
from icapd.content.shape import MAX_VALUE, MAX_VALUES, shape_of
from icapd.http import RequestHead, ResponseHead
from icapd.transaction import Point, Transaction


def response(*fields: str, status: int = 200, method: str = "GET", path: str = "/d/a%2Etxt?q=1") -> Shape:
    head = "".join(f"{field}\r\n" for field in fields)
    return shape_of(
        Transaction(
            Point.RESPMOD,
            request=RequestHead(f"{method} http://a.test{path} HTTP/1.1\r\n\r\n".encode()),
            response=ResponseHead(f"HTTP/1.1 {status} OK\r\n{head}\r\n".encode("latin-1")),
        )
    )


def upload(*fields: str) -> Shape:
    head = "".join(f"{field}\r\n" for field in fields)
    request = RequestHead(f"POST http://a.test/up.exe HTTP/1.1\r\n{head}\r\n".encode())
    return shape_of(Transaction(Point.REQMOD, request=request))


def test_all_fields_of_a_name_count() -> None:
    shape = response(
        "Content-Encoding: gzip, br", "Content-Type: a/b; c=d", "content-encoding: zstd", "Content-Type: e/f"
    )
    assert shape.codings == ("gzip", "br", "zstd")
    assert shape.media == ("a/b; c=d", "e/f")


@pytest.mark.parametrize(
    "value",
    [
        "attachment; filename=\"a.txt\"; filename*=UTF-8''a%2Eexe",
        "attachment; filename=a.exe",
        'inline; filename="x/..\\a.exe. "',
    ],
)
def test_names_in_every_notation(value: str) -> None:
    names = response(f"Content-Disposition: {value}").names
    assert "a.exe" in names
    assert "a.txt" in names


def test_an_upload_is_not_named_by_where_it_goes() -> None:
    shape = upload("Content-Length: 5")
    assert shape == Shape(length=5, is_request=True)


def test_lengths_and_ranges() -> None:
    assert response("Content-Length: 10").length == 10
    assert response("Content-Length: 10", "Content-Length: 12").length == 12
    assert response("Content-Length: x").length is None
    assert response("Content-Length: 10", method="HEAD").length is None
    assert response("Content-Length: 10", status=304).length is None
    assert response("Content-Range: bytes 0-1/2").range is None
    assert response("Content-Range: bytes 0-1/2", status=206).range == "bytes 0-1/2"
    assert response(status=206).range == ""


def test_nothing_known_is_an_empty_shape() -> None:
    assert shape_of(Transaction(Point.RESPMOD)) == Shape()


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=3000)
NAMES = st.sampled_from(
    ["Content-Type", "Content-Encoding", "Content-Disposition", "Content-Length", "Content-Range"]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=60))
def test_whatever_heads_say_it_stays_small(fields: list[tuple[str, str]]) -> None:
    shape = response(*(f"{name}: {value}" for name, value in fields), status=206)
    for values in (shape.codings, shape.media, shape.names):
        assert len(values) <= MAX_VALUES
        assert all(len(value) <= MAX_VALUE for value in values)


def test_types_that_a_proxy_has_joined_count_apart_as_well() -> None:
    assert response('Content-Type: a/b; c="d,e", f/g').media == ('a/b; c="d,e", f/g', 'a/b; c="d,e"', "f/g")


@pytest.mark.parametrize(
    ("status", "is_error"), [(200, False), (206, False), (302, True), (404, True), (503, True)]
)
def test_a_status_may_say_that_something_else_came(status: int, is_error: bool) -> None:
    assert response(status=status).is_error is is_error
    assert not upload().is_error
