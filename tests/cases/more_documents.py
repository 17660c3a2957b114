"""Documents with and without what is dangerous in them, for more_content.py."""

from __future__ import annotations

import io
import struct
import zlib

from tests.cases.more_archives import zipped
from tests.content.samples import cfb

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCM = "application/vnd.ms-word.document.macroEnabled.12"


def vba() -> bytes:
    """A VBA project as Office writes it: its streams, not its code."""
    return cfb({
        "PROJECT": b'ID="{00000000-0000-0000-0000-000000000000}"\r\nModule=Module1\r\n',
        "VBA/dir": b"\x01\x00\xb0\x00", "VBA/_VBA_PROJECT": b"\xcc\x61\xff\xff\0\0\0", "VBA/Module1": b"\x01\x16\x03\0",
    })  # fmt: skip


def ooxml(
    *parts: tuple[str, bytes],
    main: str = f"{DOCX}.main+xml",
    links: str = "",
    folder: str = "word",
    more: str = "",
) -> bytes:
    name = {"word": "document", "xl": "workbook", "ppt": "presentation"}[folder]
    types = (
        f'<?xml version="1.0"?><Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.'
        'openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>'
        f'<Override PartName="/{folder}/{name}.xml" ContentType="{main}"/>{more}</Types>'
    )
    rels = f'<?xml version="1.0"?><Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument"'
    rels += f' Target="{folder}/{name}.xml"/></Relationships>'
    inner = f'<?xml version="1.0"?><Relationships xmlns="{_RELS}">{links}</Relationships>'
    return zipped(
        ("[Content_Types].xml", types.encode()),
        ("_rels/.rels", rels.encode()),
        (
            f"{folder}/{name}.xml",
            b'<?xml version="1.0"?><w:document xmlns:w="x"><w:body>text</w:body></w:document>',
        ),
        (f"{folder}/_rels/{name}.xml.rels", inner.encode()),
        *parts,
    )


def link(kind: str, target: str, *, external: bool = True) -> str:
    mode = ' TargetMode="External"' if external else ""
    return f'<Relationship Id="r9" Type="{_OFFICE}/{kind}" Target="{target}"{mode}/>'


def workbook(*sheets: tuple[bytes, int], filepass: bool = False) -> bytes:
    """A BIFF8 workbook stream: `sheets` are names and types (0 sheet, 1 macro sheet)."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    out = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 1997, 0, 0))
    if filepass:
        out += record(0x2F, struct.pack("<HHH", 1, 1, 1) + bytes(48))
    for name, kind in sheets:
        out += record(0x85, struct.pack("<IBBBB", 0, 0, kind, len(name), 0) + name)
    return out + record(0x0A, b"") + bytes(4096)


def xls(*sheets: tuple[bytes, int], filepass: bool = False, **streams: bytes) -> bytes:
    return cfb(
        {
            "Workbook": workbook(*sheets, filepass=filepass),
            **{k.replace("__", "/"): v for k, v in streams.items()},
        }
    )


def doc(*, encrypted: bool = False, macros: bool = False) -> bytes:
    fib = bytearray(b"\xec\xa5\xc1\0" + bytes(5000))
    if encrypted:
        fib[11] |= 1
    streams = {"WordDocument": bytes(fib), "1Table": bytes(4200)}
    if macros:
        streams |= {
            "Macros/PROJECT": b'ID="x"',
            "Macros/VBA/dir": b"\x01",
            "Macros/VBA/_VBA_PROJECT": b"\xcc\x61",
        }
    return cfb(streams)


def ppt(*, macros: bool = False, encrypted: bool = False) -> bytes:
    body = bytes(4200)
    if macros:
        packed = zlib.compress(vba())
        body = (
            struct.pack("<HHI", 0x10, 0x1011, len(packed) + 4) + struct.pack("<I", len(vba())) + packed + body
        )
    user = struct.pack("<HHIII", 0, 0xFF6, 20, 20, 0xF3D1C4DF if encrypted else 0xE391C05F) + bytes(16)
    return cfb({"PowerPoint Document": body, "Current User": user})


def odf(*parts: tuple[str, bytes], manifest: str = "", kind: str = "text") -> bytes:
    text = '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    text += f'<manifest:file-entry manifest:full-path="/"/>{manifest}</manifest:manifest>'
    content = b'<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>'
    mime = f"application/vnd.oasis.opendocument.{kind}".encode()
    from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

    out = io.BytesIO()
    with ZipFile(out, "w") as file:
        file.writestr(ZipInfo("mimetype"), mime, ZIP_STORED)
        for name, data in (("content.xml", content), ("META-INF/manifest.xml", text.encode()), *parts):
            file.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return out.getvalue()


def pdf(catalog: bytes = b"", *objects: bytes, trailer: bytes = b"", packed: bool = False) -> bytes:
    out = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
    first = b"<</Type/Catalog/Pages 2 0 R" + catalog + b">>"
    every = [
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        *objects,
    ]
    if packed:
        data = zlib.compress(b"1 0 " + first)
        every.append(
            b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%b\nendstream"
            % (len(data), data)
        )
    else:
        every.insert(0, first)
    for i, one in enumerate(every, 2 if packed else 1):
        out += b"%d 0 obj\n%b\nendobj\n" % (i, one)
    return bytes(out) + b"trailer\n<</Size 9/Root 1 0 R" + trailer + b">>\nstartxref\n9\n%%EOF\n"


def locked_pdf(user: str, owner: str) -> bytes | None:
    """A PDF that a library encrypted; None without it."""
    try:
        import pypdf
    except ImportError:
        return None
    writer = pypdf.PdfWriter()
    writer.add_blank_page(99, 99)
    writer.encrypt(user, owner, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def encrypted_ooxml(*, standard: bool = False) -> bytes:
    info = struct.pack("<HHI", 3 if standard else 4, 2 if standard else 4, 0x24 if standard else 0x40)
    info += (
        bytes(200)
        if standard
        else b'<?xml version="1.0"?><encryption xmlns="http://schemas.microsoft.com/office/2006/encryption"/>'
    )
    return cfb({"EncryptionInfo": info, "EncryptedPackage": struct.pack("<Q", 5000) + bytes(range(256)) * 20})
