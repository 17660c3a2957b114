"""What bodies are made of: codings, archives, forms and mails, documents, and what heads say of them."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from icapd.content.budget import Bounds, Budget
from icapd.content.codings import Broken, undo
from icapd.content.documents import look
from icapd.content.model import Shape
from icapd.content.shape import shape_of
from icapd.content.walk import MAX_FINDINGS, MAX_THREAT
from icapd.http import Headers, RequestHead, ResponseHead
from icapd.policy.filenames import disposition_names, url_names
from icapd.policy.filetypes import sniff
from icapd.policy.media import media_types
from icapd.transaction import Point, Transaction
from tests.content.making import MARK, tarred, walk, zipped
from tests.content.samples import cfb, ooxml, pdf, rtf_object
from tests.content.test_codings import MAKERS
from tests.content.test_documents import STARTS
from tests.fuzz.mutation import spoilt_bytes, spoilt_text
from tests.fuzz.targets import target

if TYPE_CHECKING:
    from tests.content.making import Found

# Small, so that bombs made by chance end soon; the spare holds dictionaries of decoders.
BOUNDS = Bounds(unpacked=4 << 20, spared=1 << 20, members=200, seconds=5.0)
SPARE = 48 << 20


def _walked(data: bytes, shape: Shape) -> Found:
    found = walk(data, shape, BOUNDS)
    items = found.report.items
    assert len(items) <= BOUNDS.members + 2
    assert sum(item.size for item in items[1:]) <= 2 * BOUNDS.unpacked + len(data)
    assert len(found.report.findings) <= MAX_FINDINGS
    for one in found.report.findings:
        assert (one.threat + one.where).isprintable()
        assert max(len(one.threat), len(one.where)) <= MAX_THREAT
    return found


TEXT = b"some text " * 60
CODED = {name: make(TEXT) for name, make in MAKERS.items()}
TWICE = tuple(MAKERS["gzip"](each) for each in CODED.values())


@target(
    "content-encoding",
    st.tuples(
        st.lists(st.sampled_from([*MAKERS, "identity", "x-gzip", "dcb", "\0", ""]), min_size=1, max_size=5),
        spoilt_bytes(*CODED.values(), *TWICE, most=3),
    ),
    spare=SPARE,
    claims=True,
)
def content_encoding(value: tuple[list[str], bytes]) -> None:
    names, data = value
    _walked(data, Shape(codings=tuple(names)))
    for name in set(names) & set(MAKERS):
        with contextlib.suppress(Broken):
            total = 0
            for piece in undo(name, data):
                total += len(piece)
                assert len(piece) <= 1 << 20
                if total > BOUNDS.unpacked:
                    break


def _archive(form: int) -> bytes:
    return tarred(("a.txt", MARK), ("d/" + "n" * 90, b"x" * 600), ("b.zip", zipped(("c", MARK))), form=form)


def _zip64() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file, file.open("big", "w", force_zip64=True) as member:
        member.write(MARK)
    return out.getvalue()


ARCHIVES = (
    *[zipped(("a.txt", MARK * 3), ("b/c.bin", b"stored"), ("d.zip", zipped(("e", MARK))), method=method)
      for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)],
    _zip64(),
    *map(_archive, (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)),
    MAKERS["gzip"](_archive(tarfile.GNU_FORMAT)),
    b"Rar!\x1a\x07\x01\0" + b"\x33\x92\xb5\xe5\x0a\x01\x05\x06\0\5\1\1\x80\x80\0" + MARK,
    b"Rar!\x1a\x07\0" + b"\xcf\x90\x73\0\0\x0d\0\0\0\0\0\0\0" + b"\x60\xf9\x74\x20\x90\x2d\0" + MARK,
    b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24) + MARK,
    b"!<arch>\n" + b"a/".ljust(16) + b"0".ljust(32) + b"5".ljust(10) + b"`\nhello\n",
    b"070701" + b"0" * 98 + b"0000000b\0" + b"TRAILER!!!\0\0\0\0",
    b"MSCF\0\0\0\0" + bytes(40), b"\x1f\x9d\x90" + MARK, b"xar!\0\x1c\0\1" + bytes(40), b"\x60\xea" + bytes(40),
)  # fmt: skip
NUMBERS = (
    b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff" * 8, b"\x01\0\x10\0",
    b"\x50\x4b\x07\x08", b"\x09\0", b"\x63\0", b"ustar", b"7777777\0", b"-1\0", b"\x80" + b"\xff" * 11, b"9" * 12, b"29 path=x\n",
    b"99999 path=x\n", b"../../", b"\x00a",
)  # fmt: skip
NAMES = st.sampled_from(["", "a.zip", "a.tar", "a.exe", "a.docx", "a.rar"])


@target("archives", st.tuples(NAMES, spoilt_bytes(*ARCHIVES, more=NUMBERS)), spare=SPARE, claims=True)
def archives(value: tuple[str, bytes]) -> None:
    name, data = value
    _walked(data, Shape(names=(name,) if name else ()))


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.exe"\r\nContent-Type: application/octet-stream\r\n\r\nMZ\0\0\r\n'
    b'--b\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAAMAAAAEAAAA\r\n--b--\r\n'
)  # fmt: skip
MAIL = (
    b"From: a@b\r\nSubject: =?utf-8?q?x?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    + FORM
    + b"\r\nbegin 644 a.bin\r\n#86)C\r\n`\r\nend\r\n"
)
BETWEEN = (b"--b", b"--b--", b"\r\n--b\r\n", b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: quoted-printable\r\n", b"=3D",
           b"=\r\n", b"begin 644 x\r\n", b"\0", b"====")  # fmt: skip
MEDIA = ("multipart/form-data; boundary=b", 'multipart/mixed; boundary="b"', "message/rfc822", "multipart/x", "multipart/form-data; boundary=" + "b" * 99)  # fmt: skip


@target(
    "multipart",
    st.tuples(st.sampled_from(MEDIA) | spoilt_text(*MEDIA), spoilt_bytes(FORM, MAIL, more=BETWEEN)),
    spare=SPARE,
    claims=True,
)
def multipart(value: tuple[str, bytes]) -> None:
    media, data = value
    _walked(data, Shape(media=(media,), is_request=True))


def _looked(data: bytes, name: str = "", members: tuple[str, ...] = ()) -> None:
    budget = Budget(BOUNDS, len(data))
    found = look(data, sniff(data), name, budget, members)
    total = 0
    for part, content in found.parts:
        assert isinstance(part, str)
        total += len(content)
    assert total <= BOUNDS.unpacked + 64 * len(data)
    assert all(len(one.threat) <= 200 and one.threat.isprintable() for one in found.findings)


PDFS = (
    pdf(b"/OpenAction<</S/JavaScript/JS(app.alert)>>", attachment=b"x" * 300, packed=True),
    pdf(b"/AA<</O<</S/Launch/F(a.exe)>>>>/AcroForm<</XFA 4 0 R>>"),
    pdf(b"/URI(http://a)", attachment=MAKERS["deflate"](b"MZ" * 50), trailer=b"/Encrypt 7 0 R"),
)
PDF_PIECES = (b"stream\n", b"endstream", b"endobj", b"obj", b"<<", b">>", b"/Filter[/ASCIIHexDecode/FlateDecode]", b"/Filter/ASCII85Decode",
              b"/Filter/RunLengthDecode", b"/Length 99999999999", b"/#4a#53", b"(((", b")", b"%PDF-", b"/ObjStm", b"z" * 50, b"/Encrypt")  # fmt: skip


@target("pdf", spoilt_bytes(*PDFS, more=PDF_PIECES), spare=SPARE, claims=True)
def pdfs(data: bytes) -> None:
    _looked(data, "a.pdf")


OLES = (
    cfb({"WordDocument": b"\xec\xa5" + b"\0" * 5000, "Macros/VBA/dir": b"x", "ObjectPool/a/\x01Ole10Native": b"x" * 99}),
    cfb({"Workbook": b"\x09\x08\x10\0\0\6\5\0" + b"\x85\0\x0c\0" + bytes(300), "_VBA_PROJECT_CUR/VBA/dir": b"y"}),
    cfb({"PowerPoint Document": b"\x0f\0\xe8\3" + bytes(200), "Current User": b"z" * 60}),
    cfb({"__properties_version1.0": bytes(64), "__attach_version1.0_#00000000/__substg1.0_37010102": b"MZ" + bytes(80)}),
    b"\x09\x04\x06\0\0\0\x40\0" + b"\x85\0\x0c\0" + bytes(60),
)  # fmt: skip


@target(
    "ole",
    st.tuples(st.sampled_from(["", "a.doc", "a.xls", "a.msi"]), spoilt_bytes(*OLES, more=NUMBERS)),
    spare=SPARE,
    claims=True,
)
def oles(value: tuple[str, bytes]) -> None:
    _looked(value[1], value[0])


RTFS = (
    rtf_object(b"Package", b"MZ" + b"\0" * 80),
    rtf_object(b"Equation.3", b"x" * 30).replace(b"\\rtf1", b"\\rt\\bin4 abcd{\\*\\objupdate}"),
    b"{\\rtf1\\ansi{\\field{\\*\\fldinst DDEAUTO c:\\\\x }}\\'4d\\u77?}",
)
RTF_PIECES = (b"{", b"}", b"\\bin", b"\\bin99999999999 ", b"\\bin-5 ", b"{\\*\\objdata ", b"\\'", b"0102", b"\\objdata", b"\\u-1?", b"{\\*")  # fmt: skip


@target("rtf", spoilt_bytes(*RTFS, more=RTF_PIECES), spare=SPARE, claims=True)
def rtfs(data: bytes) -> None:
    _looked(data, "a.rtf")


HTMLS = (
    b"<html><script>var a=atob('TVqQAAMAAAAEAAAA');navigator.msSaveBlob(new Blob([a]),'a.exe')</script></html>",
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><script>1</script><a href='data:application/zip;base64,UEsDBA=='/></svg>",
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><Relationships><Relationship Target='http://a' TargetMode='External'/></Relationships>",
    b"<pkg:package><pkg:part pkg:name='/word/vbaProject.bin'><pkg:binaryData>0M8R4KGxGuE=</pkg:binaryData></pkg:part></pkg:package>",
    b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Location: x\n\nActiveMime\n--b--",
)
HTML_PIECES = (b"<script>", b"</script>", b"<!--", b"-->", b"'", b'"', b"atob('", b"data:;base64,", b"<![CDATA[", b"&#x41;", b"\xff\xfe", b"<\0s\0", b"A" * 400, b"<%", b"<script language=vbscript>")  # fmt: skip


@target(
    "html",
    st.tuples(
        st.sampled_from(["", "a.html", "a.svg", "a.xml", "a.hta"]), spoilt_bytes(*HTMLS, more=HTML_PIECES)
    ),
    spare=SPARE,
    claims=True,
)
def htmls(value: tuple[str, bytes]) -> None:
    _looked(value[1], value[0])


ODF = b"<office:document-content><office:event-listeners><script:event-listener script:language='ooo:script' xlink:href='vnd.sun.star.script:S.M?language=Basic'/></office:event-listeners></office:document-content>"
PACKAGES = (
    ooxml({"word/vbaProject.bin": b"x", "word/_rels/document.xml.rels": b"<Relationships/>"}),
    zipped(
        ("mimetype", b"application/vnd.oasis.opendocument.text"),
        ("content.xml", ODF),
        ("Basic/script-lc.xml", b"<x/>"),
        method=zipfile.ZIP_STORED,
    ),
    ODF,
)
MEMBERS = st.lists(st.sampled_from(["[Content_Types].xml", "word/vbaProject.bin", "Basic/Standard/M.xml", "META-INF/manifest.xml", "mimetype", "x" * 300]), max_size=4).map(tuple)  # fmt: skip


@target(
    "office-packages",
    st.tuples(MEMBERS, spoilt_bytes(*PACKAGES, more=(*NUMBERS, *HTML_PIECES))),
    spare=SPARE,
    claims=True,
)
def packages(value: tuple[tuple[str, ...], bytes]) -> None:
    _looked(value[1], "a.odt", value[0])
    _walked(value[1], Shape(names=("a.docx",)))


@target("signatures", st.tuples(st.sampled_from(STARTS), st.binary(max_size=400)), spare=SPARE, claims=True)
def signatures(value: tuple[bytes, bytes]) -> None:
    _looked(b"".join(value))
    _walked(b"".join(value), Shape())


DISPOSITIONS = (
    'attachment; filename="a b.exe"', "attachment; filename*=UTF-8''%e2%82%ac.exe; filename=x.txt", 'form-data; name="f"; filename="C:\\\\x\\\\y.zip"',
    "attachment; filename*0=a; filename*1*=%2eexe", '=?utf-8?B?YS5leGU=?=; filename="=?utf-8?q?a=2Eexe?="', "attachment;filename=a.exe::$DATA", 'inline; filename="',
)  # fmt: skip
SAID = ("filename*=", "''", "%00", "=?x?b?", "?=", "filename*0*=idna''", "utf-7''", "punycode''", "rot13''", "hex''", "zlib''", "unicode_escape''\\N{", "filename*99999999999999999999=", "\\", '"', ";", "=" * 20)  # fmt: skip


@target("content-disposition", spoilt_text(*DISPOSITIONS, more=SAID).map(lambda text: text.encode("utf-8", "replace")),
        known=(b"attachment; filename*=idna''" + b"a." * 300, b"x; filename*=zlib''x%9c", b"x; filename*" + b"9" * 5000 + b"=a"))  # fmt: skip
def content_disposition(value: bytes) -> None:
    headers = Headers(
        b"\r\nContent-Disposition: " + value + b"\r\nContent-Type: a/b; name=" + value + b"\r\n\r\n"
    )
    for names in disposition_names(headers):
        assert names
        assert all(names)
    url_names(("/" + value.decode("latin-1"),))


@target("media-types", spoilt_text("text/html; charset=utf-8", 'multipart/mixed; boundary="a,b"', "a/b, c/d", "text / html", 'x/"y').map(
    lambda text: text.encode("utf-8", "replace")))  # fmt: skip
def media(value: bytes) -> None:
    block = (
        b"HTTP/1.1 200 OK\r\nContent-Type: "
        + value
        + b"\r\nContent-Encoding: "
        + value
        + b"\r\nContent-Range: "
        + value
        + b"\r\n\r\n"
    )
    response = ResponseHead(block)
    for one in media_types(response.headers):
        assert one == one.lower()
    request = RequestHead(b"GET http://a.example/%2e%2e/a.exe;b?c HTTP/1.1\r\n\r\n")
    shape = shape_of(Transaction(Point.RESPMOD, request=request, response=response))
    assert sum(map(len, (*shape.media, *shape.codings, *shape.names))) <= 64 << 10
