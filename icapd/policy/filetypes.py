"""Types of files as the policy names them: their media types, and how their content begins.

`sniff` looks at the first bytes only; containers (zip, OLE) are told apart no further than
these show. Text in UTF-16 is read as the ASCII it stands for. Sources: WHATWG MIME Sniffing; IANA
media types; the formats' own signatures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SNIFFED = 4096  # bytes of a body that `sniff` looks at for most types
FAR = 0x9006  # bytes that an ISO image needs: its descriptors come after 16 to 18 sectors


@dataclass(frozen=True, slots=True)
class FileType:
    """One type: `media` are the media types that stand for it, `starts` regexes of its first bytes.

    `called` is the media type it is best known by.
    """

    name: str
    media: frozenset[str]
    starts: re.Pattern[bytes] | None
    called: str


def _type(name: str, media: str, starts: bytes | None = None) -> FileType:
    pattern = None if starts is None else re.compile(starts, re.DOTALL)
    return FileType(name, frozenset(media.split()), pattern, media.split(maxsplit=1)[0])


_BLANK = rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*"
_TAG = _BLANK + rb"(?:<\?xml[^>]{0,200}>\s*)?<(?i:%s)[ >\t\r\n\x0c/]"
_HTML = rb"!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
_ZIP = rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"
_OOXML = rb"PK\x03\x04.{26,2000}?(?:\[Content_Types\]\.xml|_rels/).{0,4000}%s/"
_ODF = rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.%s"
# What no text has in its first 64 bytes and every header of an executable does.
_BINARY = rb"(?=.{0,62}?[\0-\x08\x0e-\x1a\x1c-\x1f])"
# Two bytes are no signature, any data has them once in 65,536: the kind of file and the name count too.
_MODE = rb"[\x10-\x1f\x20-\x2f\x40-\x4f\x60-\x6f\x80-\x8f\xa0-\xaf\xc0-\xcf]"
_OLD_CPIO = rb"\xc7\x71.{5}%b.{12}[\x01-\xff][\0-\x03].{4}[^\0]|" % _MODE
_OLD_CPIO += rb"\x71\xc7.{4}%b.{13}[\0-\x03][\x01-\xff].{4}[^\0]" % _MODE
_WINDOWS = "application/x-msdownload application/vnd.microsoft.portable-executable application/x-dosexec "
_WINDOWS += "application/x-msdos-program application/x-msdos-windows application/exe application/x-exe "
_WINDOWS += "application/x-ms-dos-executable application/x-winexe application/dos-exe"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_BATCH = rb"(?i:@(?:echo off|rem |cls|setlocal)|echo off\s*[\r\n])"
_POWERSHELL = rb"(?i:#requires\s|\[cmdletbinding\(|param\s*\(\s*\[|\$erroractionpreference\s*=)"

TYPES = {
    one.name: one
    for one in (
        _type("exe", _WINDOWS, rb"(?:MZ|ZM)" + _BINARY),
        _type("elf", "application/x-executable application/x-elf application/x-sharedlib", rb"\x7fELF"),
        _type(
            "macho",
            "application/x-mach-binary",
            rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe\0\0\0[\x01-\x1f]",
        ),
        _type("class", "application/java-vm application/x-java-class", rb"\xca\xfe\xba\xbe\0.\0[\x2d-\xff]"),
        _type("wasm", "application/wasm", rb"\0asm"),
        _type("script", "application/x-sh text/x-shellscript text/x-script", rb"#!\s*/"),
        _type(
            "bat",
            "application/x-bat application/bat text/x-bat",
            _BLANK + _BATCH,
        ),
        _type("powershell", "application/x-powershell text/x-powershell", _BLANK + _POWERSHELL),
        _type("vbe", "text/vbscript.encode text/jscript.encode", _BLANK + rb"#@~\^.{6}=="),
        _type("wsf", "application/x-wsf text/scriptlet", _TAG % rb"job|package|component|scriptlet"),
        _type("hta", "application/hta", _BLANK + rb"<.{0,3000}?<(?i:hta:application)\b"),
        _type("php", "application/x-httpd-php text/x-php", _BLANK + rb"<\?php\b"),
        _type("reg", "text/x-ms-regedit", _BLANK + rb"(?:Windows Registry Editor Version|REGEDIT4)"),
        _type("url", "application/internet-shortcut", _BLANK + rb"(?i:\[InternetShortcut\])"),
        _type("lnk", "application/x-ms-shortcut application/x-ms-lnk", rb"L\0\0\0\x01\x14\x02\0"),
        _type("html", "text/html application/xhtml+xml", _TAG % _HTML + rb"|" + _BLANK + rb"<!--"),
        _type("xml", "text/xml application/xml", _BLANK + rb"<\?xml"),
        _type(
            "svg",
            "image/svg+xml",
            _BLANK
            + rb"(?:<\?xml[^>]{0,200}>\s*|<!(?:--.{0,2000}?--|DOCTYPE svg.{0,2000}?)>\s*){0,4}<svg[\s>]",
        ),
        _type("pdf", "application/pdf application/x-pdf", rb".{0,1020}?%PDF-"),
        _type("ps", "application/postscript", rb"%!PS"),
        _type("rtf", "application/rtf text/rtf text/richtext", _BLANK + rb"\{\\rt"),
        _type("chm", "application/vnd.ms-htmlhelp", rb"ITSF"),
        _type("onenote", "application/onenote", rb"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d"),
        _type("mdb", "application/x-msaccess application/msaccess", rb"\0\x01\0\0Standard (?:Jet|ACE) DB"),
        _type("tnef", "application/ms-tnef application/vnd.ms-tnef", rb"\x78\x9f\x3e\x22"),
        _type("djvu", "image/vnd.djvu", rb"AT&TFORM"),
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
        _type("epub", "application/epub+zip", rb"PK\x03\x04.{26}mimetypeapplication/epub\+zip"),
        _type(
            "jar",
            "application/java-archive application/x-java-archive",
            rb"PK\x03\x04.{26}META-INF/(?!container|manifest)",
        ),
        _type(
            "apk",
            "application/vnd.android.package-archive",
            rb"PK\x03\x04.{26,2000}?(?:AndroidManifest\.xml|classes\.dex)",
        ),
        _type("rar", "application/vnd.rar application/x-rar-compressed application/x-rar", rb"Rar!\x1a\x07"),
        _type("7z", "application/x-7z-compressed", rb"7z\xbc\xaf\x27\x1c"),
        _type("gzip", "application/gzip application/x-gzip", rb"\x1f\x8b\x08"),
        _type(
            "bzip2", "application/x-bzip2 application/x-bzip", rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"
        ),
        _type("xz", "application/x-xz", rb"\xfd7zXZ\0"),
        _type("lzma", "application/x-lzma", rb"[\x5d\x6c\x2c]\0\0.{2}(?:\xff{8}|.{5}\0{3})"),
        _type("lzip", "application/lzip application/x-lzip", rb"LZIP\x01"),
        _type("compress", "application/x-compress", rb"\x1f\x9d[\x09-\x10\x89-\x90]"),
        _type("zstd", "application/zstd application/x-zstd", rb"\x28\xb5\x2f\xfd"),
        _type("lz4", "application/x-lz4", rb"\x04\x22\x4d\x18"),
        _type("tar", "application/x-tar application/x-gtar", rb".{257}ustar"),
        _type("cpio", "application/x-cpio", rb"07070[127]|" + _OLD_CPIO),
        _type("cab", "application/vnd.ms-cab-compressed application/x-cab", rb"MSCF\0\0\0\0|ISc\("),
        _type("arj", "application/x-arj", rb"\x60\xea.{2}\x1e\x0a?"),
        _type("ace", "application/x-ace-compressed", rb".{7}\*\*ACE\*\*"),
        _type("lha", "application/x-lzh-compressed application/x-lha", rb".{2}-l[hz][0-9s]-"),
        _type("wim", "application/x-ms-wim", rb"MSWIM\0\0\0"),
        _type("vhd", "application/x-vhd", rb"conectix|vhdxfile"),
        _type("vmdk", "application/x-vmdk", rb"KDMV|# Disk DescriptorFile"),
        _type("squashfs", "application/x-squashfs", rb"hsqs|sqsh"),
        _type("xar", "application/x-xar", rb"xar!\0"),
        _type("crx", "application/x-chrome-extension", rb"Cr24[\x02\x03]"),
        _type("iso", "application/x-iso9660-image", rb".{32769}(?:.{2048}){0,2}CD001"),
        _type("dmg", "application/x-apple-diskimage", rb"\x78\x01\x73\x0d\x62\x62\x60|encrcdsa"),
        _type(
            "deb", "application/vnd.debian.binary-package application/x-debian-package", rb"!<arch>\ndebian"
        ),
        _type("ar", "application/x-archive", rb"!<arch>\n"),
        _type("rpm", "application/x-rpm", rb"\xed\xab\xee\xdb"),
        _type("dex", "application/x-dex", rb"dex\n"),
        _type(
            "swf", "application/x-shockwave-flash application/vnd.adobe.flash.movie", rb"[FCZ]WS[\x01-\x40]"
        ),
        _type(
            "torrent",
            "application/x-bittorrent",
            rb"d(?:8:announce|4:info|10:created by|7:comment|13:creation date)",
        ),
        _type("png", "image/png", rb"\x89PNG\r\n\x1a\n"),
        _type("jpeg", "image/jpeg image/jpg image/pjpeg", rb"\xff\xd8\xff"),
        _type("gif", "image/gif", rb"GIF8[79]a"),
        _type("bmp", "image/bmp image/x-ms-bmp", rb"BM.{4}\0\0\0\0"),
        _type("webp", "image/webp", rb"RIFF.{4}WEBPVP"),
        _type("tiff", "image/tiff", rb"II\x2a\0|MM\0\x2a"),
        _type("ico", "image/x-icon image/vnd.microsoft.icon", rb"\0\0[\x01\x02]\0[\x01-\x40]\0"),
        _type("icns", "image/icns image/x-icns", rb"icns.{4}(?:TOC |ic|is|il|it|ih)"),
        _type("psd", "image/vnd.adobe.photoshop", rb"8BPS\0[\x01\x02]"),
        _type("jp2", "image/jp2 image/jpx", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
        _type("jxl", "image/jxl", rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a"),
        _type("avif", "image/avif", rb".{4}ftypavi[fs]"),
        _type("heic", "image/heic image/heif", rb".{4}ftyp(?:hei|mif1|msf1)"),
        _type(
            "mp4",
            "video/mp4 audio/mp4 application/mp4 audio/x-m4a video/3gpp audio/aac",
            rb".{4}ftyp(?!avi[fs]|hei|mif1|msf1|qt)",
        ),
        _type("mov", "video/quicktime", rb".{4}(?:ftypqt|moov|mdat)"),
        _type("avi", "video/x-msvideo video/avi video/vnd.avi", rb"RIFF.{4}AVI "),
        _type("wav", "audio/wav audio/x-wav audio/wave audio/vnd.wave", rb"RIFF.{4}WAVE"),
        _type("webm", "video/webm video/x-matroska audio/webm", rb"\x1aE\xdf\xa3"),
        _type("flv", "video/x-flv", rb"FLV\x01"),
        _type("wmv", "video/x-ms-wmv video/x-ms-asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        _type("mpeg", "video/mpeg", rb"\0\0\x01[\xba\xb3]"),
        _type("mp3", "audio/mpeg audio/mp3 audio/x-mp3", rb"ID3[\x02-\x04]|\xff[\xfb\xfa\xf3\xf2]"),
        _type("aac", "audio/aac audio/aacp", rb"\xff[\xf1\xf9]|ADIF"),
        _type("amr", "audio/amr audio/3gpp", rb"#!AMR"),
        _type("aiff", "audio/aiff audio/x-aiff", rb"FORM.{4}AIF[FC]"),
        _type("ogg", "application/ogg audio/ogg video/ogg", rb"OggS\0"),
        _type("flac", "audio/flac audio/x-flac", rb"fLaC"),
        _type("midi", "audio/midi audio/x-midi", rb"MThd\0\0\0\x06"),
        _type("woff", "font/woff font/woff2 application/font-woff", rb"wOF[F2]"),
        _type(
            "ttf", "font/ttf font/sfnt application/x-font-ttf", rb"(?:\0\x01\0\0|true|ttcf\0)\0[\x01-\x40]"
        ),
        _type("otf", "font/otf font/collection application/x-font-otf", rb"OTTO\0"),
        _type("eot", "application/vnd.ms-fontobject", rb".{34}LP"),
        _type("sqlite", "application/vnd.sqlite3 application/x-sqlite3", rb"SQLite format 3\0"),
        _type(
            "pcap",
            "application/vnd.tcpdump.pcap",
            rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\x0a\x0d\x0d\x0a.{4}[\x1a\x4d][\x2b\x3c]",
        ),
        _type("pgp", "application/pgp-encrypted", _BLANK + rb"-----BEGIN PGP MESSAGE"),
        # Types that nothing in their first bytes shows; other parts of icapd may.
        _type("docm", "application/vnd.ms-word.document.macroenabled.12"),
        _type("xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"),
        _type("pptm", "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
        _type("doc", "application/msword"),
        _type("xls", "application/vnd.ms-excel"),
        _type("ppt", "application/vnd.ms-powerpoint"),
        _type("msg", "application/vnd.ms-outlook"),
        _type("msi", "application/x-msi"),
        _type("text", "text/plain"),
    )
}
_TEXTS = frozenset(
    ["script", "bat", "powershell", "vbe", "wsf", "hta", "php", "reg", "url", "html", "xml", "svg", "rtf"],
)
_BARE_LE = re.compile(rb"(?:[\t\n\r ]\0)*[<\[@#]\0[!-~]\0[!-~]\0")
_BARE_BE = re.compile(rb"(?:\0[\t\n\r ])*\0[<\[@#]\0[!-~]\0[!-~]")


# What a regex says of its first byte: itself, or escaped, and no repetition of it behind
_LITERAL = re.compile(
    rb"(?:\\x(?P<hex>[0-9a-f]{2})|\\(?P<nul>0)|\\?(?P<sign>[^\\\[\](){}.^$|?*+a-zA-Z0-9])|(?P<plain>[a-zA-Z0-9])"
    rb"|\\(?P<mark>[\[\](){}.^$|?*+]))(?![?*+{])"
)
_OUTER = re.compile(rb"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|(?P<bar>\|)|.", re.DOTALL)


def _firsts(starts: bytes) -> frozenset[int] | None:
    """Return the bytes that all that a regex matches begins with, None where it does not plainly say so."""
    bars, depth = [-1], 0
    for token in _OUTER.finditer(starts):
        depth += (token["open"] is not None) - (token["close"] is not None)
        if token["bar"] is not None and not depth:
            bars.append(token.start())
    found = set()
    for bar in bars:
        literal = _LITERAL.match(starts, bar + 1)
        if literal is None:
            return None
        if literal["hex"] is not None:
            found.add(int(literal["hex"], 16))
        elif literal["nul"] is not None:
            found.add(0)
        else:
            found.add((literal["sign"] or literal["plain"] or literal["mark"])[0])
    return frozenset(found)


def _by_first() -> list[tuple[FileType, ...]]:
    """Return, for each first byte, the types that it does not rule out, in their order."""
    known = [(one, _firsts(one.starts.pattern)) for one in TYPES.values() if one.starts is not None]
    return [tuple(one for one, firsts in known if firsts is None or byte in firsts) for byte in range(256)]


_BY_FIRST = _by_first()


def sniff(head: bytes) -> tuple[str, ...]:
    """Return the names of the types that a body beginning with `head` is of; () if none is known.

    All but ISO images show in the first SNIFFED bytes; these need the first FAR.
    """
    start = head[:SNIFFED]
    found = dict.fromkeys(_matching(start))
    text = _plain(start)
    if text:
        found.update(dict.fromkeys(name for name in _matching(text) if name in _TEXTS))
    iso = TYPES["iso"].starts
    if len(head) > SNIFFED and iso is not None and iso.match(head[:FAR]) is not None:
        found["iso"] = None
    return tuple(found)


def media_of(name: str) -> frozenset[str]:
    """Return the media types that stand for a type; none for a name that is not known."""
    one = TYPES.get(name)
    return frozenset() if one is None else one.media


def _matching(start: bytes) -> list[str]:
    if not start:
        return []
    return [one.name for one in _BY_FIRST[start[0]] if one.starts is not None and one.starts.match(start)]


def _plain(start: bytes) -> bytes:
    """Return what text in UTF-16 is in ASCII, "?" for all that is not in it; b"" for anything else."""
    for mark, coding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if start.startswith(mark):
            return start[2:].decode(coding, "replace").encode("ascii", "replace")
    if _BARE_LE.match(start) is not None:
        return start.decode("utf-16-le", "replace").encode("ascii", "replace")
    if _BARE_BE.match(start) is not None:
        return start.decode("utf-16-be", "replace").encode("ascii", "replace")
    return b""
