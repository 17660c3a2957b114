"""Names under which a download is saved, in every reading."""

from __future__ import annotations

import pytest

from icapd.http import Headers
from icapd.policy.facts import sent_path, spellings
from icapd.policy.filenames import disposition_names, readings, url_names


def is_exe(names: tuple[str, ...]) -> bool:
    return any(name.casefold().endswith(".exe") for name in names)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(
            (path, True)
            for path in (
                *(
                    "/a.exe",
                    "/a.EXE",
                    "/a%2eexe",
                    "/a%252eexe",
                    "/a.%65xe",
                    "/a.exe%20",
                    "/a.exe.",
                    "/a.exe%2e",
                ),
                *(
                    "/a.exe%09",
                    "/a.exe::$DATA",
                    "/a.exe%3a%3a$DATA",
                    "/a.exe:x",
                    "/a.exe/",
                    "/a.exe/.",
                    "/a.exe//",
                ),
                *(
                    "/a.exe;x=1",
                    "/a.txt;.exe",
                    "/a.exe%00.txt",
                    "/a.exe%5c",
                    "/x%5ca.exe",
                    "/x/..%2fa.exe",
                    "/.exe",
                ),
                *("/a.e%E2%80%8Bxe", "/a.exe%E2%80%8B", "/x;y/a.exe", "/a.exe%0d%0a"),
            )
        ),
        *(
            (path, False)
            for path in (
                "/exe",
                "/a.exec",
                "/a.exe/b.txt",
                "/a.exe.txt",
                "/",
                "/aexe",
                "/a.exe%2fb.txt",
                "/C:/a.txt",
            )
        ),
    ],
)
def test_the_last_segment_is_a_name(path: str, expected: bool) -> None:
    assert is_exe(url_names(spellings(path, sent_path(path)))) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (value, True)
            for value in (
                'attachment; filename="a.exe"',
                "attachment;filename = a.exe ; size=3",
                'inline; FILENAME="A.EXE"',
                "attachment; filename=a.txt; filename*=UTF-8''a%2eexe",
                "attachment; filename*=UTF-8''a.txt; filename=a.exe",
                "attachment; filename*=iso-8859-1'en'a%2Eexe",
                "attachment; filename*=nonsense''a%2Eexe",
                'attachment; filename="a.txt"; filename="a.exe"',
                'attachment; filename="=?UTF-8?B?YS5leGU=?="',
                'attachment; filename="=?utf-8?Q?a=2Eexe?="',
                'attachment; filename*0="a."; filename*1="exe"',
                "attachment; filename*0*=UTF-8''a%2E; filename*1=exe",
                'attachment; filename="a\\.exe"',
                'attachment; filename="..\\\\dir\\\\a.exe"',
                'attachment; filename="a.exe',
                "attachment; filename='a.exe'",
                'attachment; filename="a.exe ."',
                "filename=a.exe",
                'attachment; filename="a%2eexe"',
            )
        ),
        *(
            (value, False)
            for value in (
                'attachment; filename="a.exe.txt"',
                "attachment; xfilename=a.exe",
                "attachment",
                'attachment; x="filename=a.exe"',
                'attachment; x="; filename=a.exe"; filename=b.txt',
                "",
            )
        ),
    ],
)
def test_a_disposition_names_the_file(value: str, expected: bool) -> None:
    found = disposition_names(Headers(f"\r\nContent-Disposition: {value}\r\n\r\n".encode()))
    assert any(map(is_exe, found)) is expected


def test_a_content_type_may_name_it_too_and_bytes_are_read_as_they_can_be() -> None:
    headers = Headers(
        b'\r\nContent-Type: a/b; name="a.exe"\r\nContent-Disposition: x; filename="\xe9.txt"\r\n\r\n'
    )
    assert disposition_names(headers) == [("\u00e9.txt",), ("a.exe",)]


def test_the_plainest_reading_comes_first() -> None:
    assert readings(["a.exe;x=1"]) == ("a.exe;x=1", "a.exe")
    assert readings(["", "..."]) == ()


def test_a_piece_with_a_number_of_thousands_of_digits_is_still_a_name() -> None:
    value = b"attachment; filename*" + b"9" * 5000 + b"=a.exe"
    headers = Headers(b"\r\nContent-Disposition: " + value + b"\r\n\r\n")
    assert [names[0] for names in disposition_names(headers)] == ["a.exe"]
