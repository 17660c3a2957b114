import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.model import Shape
from tests.content.making import MARK, walk

FORM = Shape(media=("multipart/form-data; boundary=xyz",), is_request=True)


def form(boundary: str, content: bytes, *fields: str, end: str = "\r\n", close: bool = True) -> bytes:
    head = end.join(
        ["", f"--{boundary}", 'Content-Disposition: form-data; name="f"; filename="a.bin"', *fields, "", ""]
    )
    tail = f"{end}--{boundary}--{end}" if close else ""
    return head.removeprefix(end).encode() + content + tail.encode()


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("close", [True, False])
def test_a_file_in_a_form_comes_out(end: str, close: bool) -> None:
    found = walk(form("xyz", MARK, end=end, close=close), FORM)
    assert found.contents[1:] == [("a.bin", MARK)]
    assert found.kinds == set()


@pytest.mark.parametrize(
    "media",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        'Multipart/Form-Data; charset=x; BOUNDARY="xyz"; x=y',
        "multipart/mixed",
    ],
)
def test_the_boundary_is_found_in_the_content(media: str) -> None:
    assert walk(form("xyz", MARK), Shape(media=(media,))).holds(MARK)


def test_two_content_types_and_two_boundaries() -> None:
    data = form("one", b"first") + form("two", MARK)
    found = walk(
        data, Shape(media=("multipart/form-data; boundary=one", "multipart/form-data; boundary=two"))
    )
    assert found.holds(MARK)


def test_nul_bytes_lose_nothing() -> None:
    assert walk(form("xyz", b"\0\0" + MARK + b"\0"), FORM).holds(b"\0\0" + MARK + b"\0")


@pytest.mark.parametrize("width", [4, 60, 76, 1000])
def test_base64_comes_out_decoded_and_as_it_stands(width: int) -> None:
    coded = base64.b64encode(MARK)
    lines = b"\r\n".join(coded[at : at + width] for at in range(0, len(coded), width))
    found = walk(form("xyz", lines, "Content-Transfer-Encoding: Base64"), FORM)
    assert found.holds(MARK)
    assert found.holds(lines)


@pytest.mark.parametrize("coded", [b"QU\r\n!JD", b"QUJD=", b"QUI=QU JD", b"QUJDRA"])
def test_sloppy_base64(coded: bytes) -> None:
    found = walk(form("xyz", coded, "Content-Transfer-Encoding: base64"), FORM)
    assert any(content.startswith(b"AB") for _, content in found.contents[1:])


def test_quoted_printable_and_uuencode() -> None:
    found = walk(form("xyz", b"a=3Db=\r\nc", "Content-Transfer-Encoding: quoted-printable"), FORM)
    assert found.holds(b"a=bc")
    uu = b"begin 644 x\r\n#86)C\r\n`\r\nend"
    assert walk(form("xyz", uu, "Content-Transfer-Encoding: x-uuencode"), FORM).holds(b"abc")


MAIL = (
    b"From: a@a.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n"
    b"--bb\r\n\r\nhello\r\n--bb\r\nContent-Type: application/octet-stream; name=a.com\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(MARK) + b"\r\n--bb--\r\n"
)


@pytest.mark.parametrize(
    "media",
    [
        "message/rfc822",
        "text/plain",
        "application/octet-stream",
        'multipart/related; boundary="bb"',
        "multipart/related",
    ],
)
def test_mail_however_it_is_declared(media: str) -> None:
    found = walk(MAIL, Shape(media=(media,)))
    assert found.holds(MARK)
    assert any(path.endswith("a.com") for path in found.paths)


def test_mail_in_mail_and_in_a_mailbox() -> None:
    outer = (
        b"Content-Type: multipart/mixed; boundary=oo\r\n\r\n--oo\r\nContent-Type: message/rfc822\r\n\r\n"
        + MAIL
        + b"\r\n--oo--"
    )
    assert walk(outer, Shape(media=("message/rfc822",))).holds(MARK)
    assert walk(b"From a@a.test Mon Jan  1 00:00:00 2024\r\n" + MAIL).holds(MARK)


def test_a_form_without_parts_is_unscannable() -> None:
    assert walk(MARK, FORM).kinds == {"unscannable"}
    assert walk(b"\r\n", FORM).kinds == set()


@pytest.mark.parametrize(
    "text", [b"Note: this is a text.\nIt goes on.\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"a: b\n"]
)
def test_text_that_looks_a_little_like_mail_is_none(text: bytes) -> None:
    assert walk(text).paths == [""]


PIECES = [
    b"--xyz",
    b"--xyz--",
    b"\r\n",
    b"\n",
    b"--",
    b"Content-Type: multipart/mixed; boundary=xyz",
    b"\0",
    b":",
    b"Content-Transfer-Encoding: base64",
    b"=",
    b"QUJD",
    b"=3D",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=40),
    st.sampled_from(["multipart/form-data; boundary=xyz", "message/rfc822", "multipart/x"]),
)
def test_heaps_of_boundaries_do_no_harm(pieces: list[bytes], media: str) -> None:
    walk(b"".join(pieces), Shape(media=(media,)))
