"""pyicap as a differential peer: the same requests to both, the same answers but for its known faults."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases.deck import failed, run_deck
from tests.cases.icap_cases import fields
from tests.cases.recorded import Connection, Recorded
from tests.peers.pyicap_server import pyicap_serving
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cases.icap_cases import Resp

_NO_OFFSETS = "reads heads line by line and never looks at an offset of Encapsulated"
_NO_GRAMMAR = "raises on what it cannot split: the connection is dropped without an answer"
_SILENT = "mixes str and bytes in an error with a text of its own: dropped without an answer"
_INT = "reads numbers with int(), which takes signs, blanks and 0x"

# Cases of the deck that pyicap 1.0b1 fails, and why. It has no deadlines either: the slow cases are left out.
FAULTS = {
    "m-lowercase": _SILENT,
    "v-no-version": _SILENT,
    "h-no-host-400": "does not ask for Host",
    "h-leading-crlf": "takes an empty line for a request line",
    "h-crlf-between": "takes an empty line for a request line",
    "e-respmod-body-only": "cannot write an Encapsulated without a head",
    "e-respmod-reqbody": "cannot write an Encapsulated without a head",
    "e-null-only": "cannot write an Encapsulated without a head",
    "e-latin1": "returns header names in lower case, whatever they were",
    "e-no-body-entity": "does not check which parts belong to the method",
    "e-reqmod-resbody": "does not check which parts belong to the method",
    "e-two-bodies": "does not check which parts belong to the method",
    "e-decreasing": _NO_OFFSETS,
    "e-negative": _NO_OFFSETS,
    "e-plus": _NO_OFFSETS,
    "e-overflow32": _NO_OFFSETS,
    "e-overflow64": _NO_OFFSETS,
    "e-offset-short": _NO_OFFSETS,
    "e-smuggle-options": _NO_OFFSETS,
    "e-no-blank-line": _NO_OFFSETS,
    "c-trailer-echo": "drops HTTP trailers (and takes their lines for the next request)",
    "c-plus": _INT,
    "c-0x": _INT,
    "c-space-size": _INT,
    "i-istag-same": "makes a random ISTag for every answer",
    "k-close-announced": "closes without saying Connection: close",
    "k-half-close-mid": "takes the end of the connection for the end of the body",
}

# Cases both pass, with different answers: pyicap's statuses (0: closed without an answer), icapd's, why.
DIFFERENT = {
    "u-long": (0, 400, _SILENT),
    "v-empty-version": (0, 400, _SILENT),
    "h-folding-encapsulated": (0, 204, "does not know folded lines"),
    "h-no-colon": (0, 400, _NO_GRAMMAR),
    "e-empty": (0, 400, _NO_GRAMMAR),
    "e-hex": (0, 400, _NO_GRAMMAR),
    "e-http-garbage": (204, 400, "does not check the HTTP request line"),
    "e-http-lf": (204, 400, "takes bare LF for the end of a line, where others do not"),
    "p-nonnumeric": (204, 400, "takes any Preview"),
}

# Cases in which icapd may answer as pyicap does or refuse the message: its policy's business, not ICAP's.
EITHER = {"e-dup-content-length": "two lengths that differ make the message ill-formed"}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("icapd")) as served:
        yield served.icap


@pytest.fixture(scope="module")
def theirs() -> Iterator[int]:
    with pyicap_serving() as port:
        yield port


def test_the_deck_tells_them_apart_by_its_known_faults_only(
    ours: int, theirs: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("deck")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(run_deck, theirs, directory, "--timeout", "1")
        own = run_deck(ours, directory)
        peer = waiting.result()
    assert set(failed(peer)) == set(FAULTS)
    different = {
        case: (*peer[case].seen, *own[case].seen)
        for case in peer
        if case not in FAULTS and case not in EITHER and peer[case].seen != own[case].seen
    }
    assert different == {case: (peers, icapds) for case, (peers, icapds, _) in DIFFERENT.items()}


_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=40)
_TOKEN = st.text("!#$%&'*+.^_`|~0123456789ABCDEFabcdef-", min_size=1, max_size=12)
_FIELDS = st.lists(st.tuples(_TOKEN.map("X-{}".format), _TEXT.map(str.strip)), max_size=6)
_PATH = st.text("abcdefXYZ0123456789-._~!$&'()*+,;=:@/?", max_size=60)


def _head(line: str, lines: list[tuple[str, str]]) -> bytes:
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{line}\r\n{text}\r\n".encode("latin-1")


def _chunked(body: bytes, sizes: list[int], last: bytes) -> bytes:
    """Write `body` in chunks of `sizes`, the rest of it in one, then the last-chunk."""
    out, at = b"", 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += len(piece)
        out += b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    return out + last + b"\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> Recorded:
    """Legal REQMOD and RESPMOD requests with every mix of heads, bodies, chunking, preview and Allow."""
    method = draw(st.sampled_from(["REQMOD", "RESPMOD"]))
    verb = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]))
    line = f"{verb} http://www.example.com/{draw(_PATH)} HTTP/1.1"
    heads = [_head(line, [("Host", "www.example.com"), *draw(_FIELDS)])]
    names = ["req-hdr=0"]
    if method == "RESPMOD":
        status = draw(st.sampled_from(["200 OK", "404 Not Found", "500 So Sorry", "206 Partial Content"]))
        names.append(f"res-hdr={len(heads[0])}")
        heads.append(_head(f"HTTP/1.1 {status}", draw(_FIELDS)))
    body = draw(st.none() | st.binary(max_size=3000))
    kind = "null" if body is None else method[:3].lower()
    names.append(f"{kind}-body={sum(map(len, heads))}")
    lines = [("Host", "127.0.0.1"), ("Encapsulated", ", ".join(names))]
    first = rest = b""
    preview = draw(st.none() | st.integers(0, 2048))
    sizes = draw(st.lists(st.integers(1, 700), max_size=5))
    if body is not None and preview is not None:
        first = _chunked(body[:preview], sizes, b"0; ieof" if len(body) <= preview else b"0")
        rest = b"" if len(body) <= preview else _chunked(body[preview:], sizes, b"0")
    elif body is not None:
        first = _chunked(body, sizes, b"0")
    if preview is not None:
        lines.append(("Preview", str(preview)))
    if allow := draw(st.sampled_from(["", "204", "204, trailers", "206", "trailers", " 206 ,204"])):
        lines.append(("Allow", allow))
    head = _head(f"{method} icap://127.0.0.1/{method.lower()} ICAP/1.0", lines)
    message_at = len(heads[0]) if method == "RESPMOD" else 0
    return Recorded("made", head, b"".join(heads), first, rest, body, message_at)


def _ask(port: int, request: Recorded) -> tuple[list[str], Resp]:
    connection = Connection(port)
    try:
        found, answer = connection.ask(request)
        return found or connection.in_sync(), answer
    finally:
        connection.close()


def _message(answer: Resp) -> tuple[object, ...]:
    """What of an answer must be equal: pyicap returns names in lower case, in an order of its own."""
    if answer.http_head is None:
        return (answer.status, None, None, answer.body)
    line, _, lines = answer.http_head[:-4].partition(b"\r\n")
    kept = sorted(pair for pair in fields(lines) if pair[0] != "via") if lines else []
    return (answer.status, line.strip(), kept, answer.body)


@settings(max_examples=150, deadline=None)
@given(request=requests())
def test_made_requests_get_the_same_answer(ours: int, theirs: int, request: Recorded) -> None:
    found, answer = _ask(ours, request)
    assert found == []
    assert _message(_ask(theirs, request)[1]) == _message(answer)
