"""Types of files as the policy names them: their media types, and how their content begins.

`sniff` looks at the first bytes only; containers (zip, OLE) are told apart no further than
these show. Sources: WHATWG MIME Sniffing; IANA media types; the formats' own signatures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SNIFFED = 4096  # bytes of a body that `sniff` looks at


@dataclass(frozen=True, slots=True)
class FileType:
    """One type: `media` are the media types that stand for it, `starts` regexes of its first bytes."""

    name: str
    media: frozenset[str]
    starts: re.Pattern[bytes] | None


def _type(name: str, media: str, starts: bytes | None = None) -> FileType:
    pattern = None if starts is None else re.compile(starts, re.DOTALL)
    return FileType(name, frozenset(media.split()), pattern)


_TAG = rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<(?i:%s)[ >\t\r\n\x0c/]"
_HTML = rb"!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
_ZIP = rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"
_OOXML = rb"PK\x03\x04.{26,2000}?(?:\[Content_Types\]\.xml|_rels/).{0,4000}%s/"
_ODF = rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.%s"
_WINDOWS = "application/x-msdownload application/vnd.microsoft.portable-executable application/x-dosexec "
_WINDOWS += "application/x-msdos-program application/x-msdos-windows application/exe application/x-exe"
_OFFICE = "application/vnd.openxmlformats-officedocument."

TYPES = {
    one.name: one
    for one in (
        _type("exe", _WINDOWS, rb"MZ"),
        _type("elf", "application/x-executable application/x-elf application/x-sharedlib", rb"\x7fELF"),
        _type(
            "macho",
            "application/x-mach-binary",
            rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe\0\0\0[\x01-\x1f]",
        ),
        _type("class", "application/java-vm application/x-java-class", rb"\xca\xfe\xba\xbe\0.\0[\x2d-\xff]"),
        _type("wasm", "application/wasm", rb"\0asm"),
        _type("script", "application/x-sh text/x-shellscript text/x-script", rb"#!\s*/"),
        _type("lnk", "application/x-ms-shortcut", rb"L\0\0\0\x01\x14\x02\0"),
        _type("html", "text/html", _TAG % _HTML + rb"|(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<!--"),
        _type("xml", "text/xml application/xml", rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<\?xml"),
        _type("svg", "image/svg+xml", rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*(?:<\?xml[^>]*>\s*)?<svg[\s>]"),
        _type("pdf", "application/pdf application/x-pdf", rb".{0,1020}?%PDF-"),
        _type("ps", "application/postscript", rb"%!PS"),
        _type("rtf", "application/rtf text/rtf", rb"\{\\rt"),
        _type("chm", "application/vnd.ms-htmlhelp", rb"ITSF"),
        _type(
            "ole",
            "application/x-ole-storage application/msword application/vnd.ms-excel "
            "application/vnd.ms-powerpoint application/x-msi",
            rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ),
        _type("zip", "application/zip application/x-zip-compressed application/x-zip", _ZIP),
        _type("docx", _OFFICE + "wordprocessingml.document", _OOXML % rb"word"),
        _type("xlsx", _OFFICE + "spreadsheetml.sheet", _OOXML % rb"xl"),
        _type("pptx", _OFFICE + "presentationml.presentation", _OOXML % rb"ppt"),
        _type("odt", "application/vnd.oasis.opendocument.text", _ODF % rb"text"),
        _type("ods", "application/vnd.oasis.opendocument.spreadsheet", _ODF % rb"spreadsheet"),
        _type("odp", "application/vnd.oasis.opendocument.presentation", _ODF % rb"presentation"),
        _type(
            "jar",
            "application/java-archive application/x-java-archive",
            rb"PK\x03\x04.{26}META-INF/(?:MANIFEST)?",
        ),
        _type(
            "apk",
            "application/vnd.android.package-archive",
            rb"PK\x03\x04.{26,2000}?(?:AndroidManifest\.xml|classes\.dex)",
        ),
        _type("rar", "application/vnd.rar application/x-rar-compressed application/x-rar", rb"Rar!\x1a\x07"),
        _type("7z", "application/x-7z-compressed", rb"7z\xbc\xaf\x27\x1c"),
        _type("gzip", "application/gzip application/x-gzip", rb"\x1f\x8b"),
        _type("bzip2", "application/x-bzip2 application/x-bzip", rb"BZh[1-9]"),
        _type("xz", "application/x-xz", rb"\xfd7zXZ\0"),
        _type("zstd", "application/zstd", rb"\x28\xb5\x2f\xfd"),
        _type("lz4", "application/x-lz4", rb"\x04\x22\x4d\x18"),
        _type("tar", "application/x-tar application/x-gtar", rb".{257}ustar"),
        _type("cab", "application/vnd.ms-cab-compressed", rb"MSCF"),
        _type("iso", "application/x-iso9660-image", None),
        _type(
            "deb", "application/vnd.debian.binary-package application/x-debian-package", rb"!<arch>\ndebian"
        ),
        _type("rpm", "application/x-rpm", rb"\xed\xab\xee\xdb"),
        _type("dex", "application/x-dex", rb"dex\n"),
        _type(
            "swf", "application/x-shockwave-flash application/vnd.adobe.flash.movie", rb"[FCZ]WS[\x01-\x40]"
        ),
        _type("torrent", "application/x-bittorrent", rb"d(?:8:announce|4:info|10:created by)"),
        _type("png", "image/png", rb"\x89PNG\r\n\x1a\n"),
        _type("jpeg", "image/jpeg image/jpg image/pjpeg", rb"\xff\xd8\xff"),
        _type("gif", "image/gif", rb"GIF8[79]a"),
        _type("bmp", "image/bmp image/x-ms-bmp", rb"BM.{4}\0\0\0\0"),
        _type("webp", "image/webp", rb"RIFF.{4}WEBPVP"),
        _type("tiff", "image/tiff", rb"II\x2a\0|MM\0\x2a"),
        _type("ico", "image/x-icon image/vnd.microsoft.icon", rb"\0\0[\x01\x02]\0[\x01-\x40]\0"),
        _type("avif", "image/avif", rb".{4}ftypavi[fs]"),
        _type("heic", "image/heic image/heif", rb".{4}ftyp(?:hei|mif1|msf1)"),
        _type("mp4", "video/mp4 audio/mp4 application/mp4", rb".{4}ftyp(?!avi[fs]|hei|mif1|msf1|qt)"),
        _type("mov", "video/quicktime", rb".{4}(?:ftypqt|moov|mdat)"),
        _type("avi", "video/x-msvideo video/avi video/vnd.avi", rb"RIFF.{4}AVI "),
        _type("wav", "audio/wav audio/x-wav audio/wave audio/vnd.wave", rb"RIFF.{4}WAVE"),
        _type("webm", "video/webm video/x-matroska audio/webm", rb"\x1aE\xdf\xa3"),
        _type("flv", "video/x-flv", rb"FLV\x01"),
        _type("wmv", "video/x-ms-wmv video/x-ms-asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        _type("mpeg", "video/mpeg", rb"\0\0\x01[\xba\xb3]"),
        _type("mp3", "audio/mpeg audio/mp3 audio/x-mp3", rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2]"),
        _type("ogg", "application/ogg audio/ogg video/ogg", rb"OggS\0"),
        _type("flac", "audio/flac audio/x-flac", rb"fLaC"),
        _type("midi", "audio/midi audio/x-midi", rb"MThd\0\0\0\x06"),
        _type("woff", "font/woff font/woff2 application/font-woff", rb"wOF[F2]"),
        _type("sqlite", "application/vnd.sqlite3 application/x-sqlite3", rb"SQLite format 3\0"),
        # Types that nothing in their first bytes shows; other parts of icapd may.
        _type("docm", "application/vnd.ms-word.document.macroenabled.12"),
        _type("xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"),
        _type("pptm", "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
        _type("doc", "application/msword"),
        _type("xls", "application/vnd.ms-excel"),
        _type("ppt", "application/vnd.ms-powerpoint"),
        _type("msi", "application/x-msi"),
        _type("text", "text/plain"),
    )
}


def sniff(head: bytes) -> tuple[str, ...]:
    """Return the names of the types that a body beginning with `head` is of; () if none is known."""
    start = head[:SNIFFED]
    return tuple(
        one.name for one in TYPES.values() if one.starts is not None and one.starts.match(start) is not None
    )


def media_of(name: str) -> frozenset[str]:
    """Return the media types that stand for a type; none for a name that is not known."""
    one = TYPES.get(name)
    return frozenset() if one is None else one.media
