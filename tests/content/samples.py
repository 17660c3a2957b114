"""Documents made by hand: OLE files, Office packages, PDFs, RTF."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SECTOR = 512
CUTOFF = 4096


def cfb(streams: dict[str, bytes], clsid: bytes = bytes(16)) -> bytes:
    """An OLE compound file; names are paths with "/" between. Small streams go to the mini stream."""
    names = sorted({"/".join(path.split("/")[:i]) for path in streams for i in range(1, path.count("/") + 2)})
    entries = ["", *names]
    mini = bytearray()
    mini_fat: list[int] = []
    big: list[bytes] = []
    places: dict[str, tuple[int, int]] = {}
    for path, data in streams.items():
        if len(data) >= CUTOFF:
            places[path] = (-len(big) - 1, len(data))
            big.append(data)
            continue
        first, count = len(mini_fat), (len(data) + 63) // 64
        mini_fat += [*range(first + 1, first + count), END] if count else []
        places[path] = (first if count else END, len(data))
        mini += data.ljust(count * 64, b"\0")
    sectors: list[bytes] = []
    fat: list[int] = []

    def put(data: bytes) -> int:
        count = (len(data) + SECTOR - 1) // SECTOR
        if not count:
            return END
        first = len(sectors)
        sectors.extend(data[i * SECTOR : (i + 1) * SECTOR].ljust(SECTOR, b"\0") for i in range(count))
        fat.extend([*range(first + 1, first + count), END])
        return first

    starts = [put(data) for data in big]
    mini_start = put(bytes(mini))
    mini_fat_start = put(
        struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(-(-len(mini_fat) // 128) * SECTOR, b"\xff")
    )
    directory = b"".join(
        _entry(i, entries, places, starts, mini_start, len(mini), clsid) for i in range(len(entries))
    )
    directory_start = put(directory)
    fat_sectors = (len(fat) + 127) // 128
    while (len(fat) + fat_sectors + 127) // 128 > fat_sectors:
        fat_sectors += 1
    first_fat = len(sectors)
    fat += [FAT] * fat_sectors
    fat += [FREE] * (fat_sectors * 128 - len(fat))
    sectors += [struct.pack("<128I", *fat[i * 128 : i * 128 + 128]) for i in range(fat_sectors)]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHHHIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, fat_sectors, directory_start, 0)
    header += struct.pack("<IIIII", CUTOFF, mini_fat_start, (len(mini_fat) + 127) // 128, END, 0)
    difat = [first_fat + i for i in range(fat_sectors)]
    header += struct.pack("<109I", *difat, *[FREE] * (109 - len(difat)))
    return header + b"".join(sectors)


def _entry(  # noqa: PLR0917
    index: int,
    entries: list[str],
    places: dict[str, tuple[int, int]],
    starts: list[int],
    mini_start: int,
    mini_size: int,
    clsid: bytes,
) -> bytes:
    """A directory entry; siblings hang in a chain on the right."""
    path = entries[index]
    children = [i for i, one in enumerate(entries) if one and one.rpartition("/")[0] == path and i != index]
    siblings = [
        i for i, one in enumerate(entries) if one and one.rpartition("/")[0] == path.rpartition("/")[0]
    ]
    after = [i for i in siblings if i > index] if path else []
    name = (path.rpartition("/")[2] if path else "Root Entry").encode("utf-16-le") + b"\0\0"
    kind = 5 if not path else 2 if path in places else 1
    start, size = (mini_start, mini_size) if not path else places.get(path, (0, 0))
    if path and start < 0:
        start = starts[-start - 1]
    out = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), kind, 1)
    out += struct.pack("<III", FREE, after[0] if after else FREE, children[0] if children else FREE)
    out += (clsid if not path else bytes(16)) + struct.pack("<IQQ", 0, 0, 0)
    return out + struct.pack("<IQ", start, size)


CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>'
    '<Override PartName="/word/document.xml" ContentType="{main}"/>{more}</Types>'
)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def ooxml(parts: dict[str, bytes], main: str = DOCX, more: str = "") -> bytes:
    """A Word package of `parts` beside the usual ones; `more` goes into its content types."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", CONTENT_TYPES.format(main=main, more=more))
        file.writestr("word/document.xml", "<w:document/>")
        for name, data in parts.items():
            file.writestr(name, data)
    return out.getvalue()


def members(data: bytes) -> tuple[str, ...]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return tuple(file.namelist())


def pdf(
    catalog: bytes = b"",
    *,
    attachment: bytes = b"",
    packed: bool = False,
    trailer: bytes = b"",
    stream: bytes = b"/Type/EmbeddedFile/Filter/FlateDecode",
) -> bytes:
    """A PDF; `packed` puts the catalog into an object stream, `stream` is the attachment's dictionary."""
    body = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    first = b"<</Type/Catalog/Pages 2 0 R " + catalog + b">>"
    if packed:
        data = zlib.compress(b"1 0 " + first)
        body += b"9 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n" % len(data)
        body += data + b"\nendstream\nendobj\n"
    else:
        body += b"1 0 obj\n" + first + b"\nendobj\n"
    body += b"2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n"
    if attachment:
        body += b"4 0 obj\n<</Type/Filespec/F(a)/EF<</F 5 0 R>>>>\nendobj\n"
        body += b"5 0 obj\n<<" + stream + b"/Length %d>>\nstream\n" % len(attachment) + attachment
        body += b"\nendstream\nendobj\n"
    return body + b"trailer\n<</Size 9/Root 1 0 R" + trailer + b">>\nstartxref\n0\n%%EOF\n"


def ole1(class_name: bytes, data: bytes) -> bytes:
    """An OLE 1 embedded object."""
    return (
        struct.pack("<III", 0x501, 2, len(class_name) + 1)
        + class_name
        + b"\0"
        + struct.pack("<III", 0, 0, len(data))
        + data
    )


def package(name: bytes, data: bytes) -> bytes:
    """What the Packager keeps of a file, without the size before it."""
    path = b"C:\\" + name
    return (
        b"\x02\0"
        + name
        + b"\0"
        + path
        + b"\0\0\0\x03\0"
        + struct.pack("<I", len(path) + 1)
        + path
        + b"\0"
        + struct.pack("<I", len(data))
        + data
    )


def rtf_object(class_name: bytes, data: bytes) -> bytes:
    digits = ole1(class_name, data).hex().encode()
    return b"{\\rtf1{\\object\\objemb{\\*\\objclass " + class_name + b"}{\\*\\objdata " + digits + b"}}}"
