"""Known attacks on ICAP parsers, each a test that bears its name, each played whole and in pieces."""

import pytest

from icapd.protocol import Answer, RemoteProtocolError, ServerConnection
from icapd.protocol.head import tokens
from icapd.protocol.server import State
from tests.protocol.playbook import (
    BANNER,
    END,
    GET,
    OK,
    POST,
    Playbook,
    Seen,
    data,
    end,
    icap,
    pull,
    reqmod,
    request,
    respmod,
)

HIDDEN = b"OPTIONS icap://icap.example/hidden ICAP/1.0\r\nHost: h\r\n\r\n"
SOME_GET = request(b"REQMOD", head=GET)
SOME_POST = request(b"REQMOD", head=POST, body=b"req-body")


def encapsulating(value: bytes, rest: bytes = GET, *more: bytes) -> bytes:
    head = [b"REQMOD icap://icap.example/reqmod ICAP/1.0", b"Host: h", b"Encapsulated: " + value, *more]
    return b"\r\n".join(head) + b"\r\n\r\n" + rest


def refuses(play: Playbook, stream: bytes, status: int = 400, *seen: Seen) -> None:
    """The stream ends in one error answer, and nothing that follows in it is read as a request."""
    server = play.conn
    assert isinstance(server, ServerConnection)
    play.breaks(stream, status, *seen)
    assert server.send_error(status, BANNER).startswith(b"ICAP/1.0 %d " % status)
    server.receive(HIDDEN)
    assert pull(server) == []
    assert server.closing


# -- Encapsulated --------------------------------------------------------------------------------


def test_smuggling_by_short_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % (len(GET) - 10), GET + HIDDEN))


def test_smuggling_of_options_behind_a_short_head(play: Playbook) -> None:
    """The section ends in a blank line, but holds another: what follows the first was a request for some."""
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % len(GET + HIDDEN), GET + HIDDEN))


def test_smuggling_by_an_offset_at_the_first_line(play: Playbook) -> None:
    first = GET.index(b"\r\n") + 2
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % first, GET))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_smuggling_by_an_offset_too_short_for_a_blank_line(play: Playbook, size: int) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % size, b"GET"[:size] + HIDDEN))


def test_long_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % (len(GET) + 20), GET + HIDDEN))


def test_long_offset_without_more_bytes_waits_and_takes_nothing(
    play: Playbook, server: ServerConnection
) -> None:
    play.give(encapsulating(b"req-hdr=0, null-body=%d" % (len(GET) + 1000))).sees()
    assert server.state is State.HEAD
    with pytest.raises(RemoteProtocolError):
        play.ends()


def test_offset_between_the_heads(play: Playbook) -> None:
    whole = len(GET + OK)
    for middle in (len(GET) - 1, len(GET) + 1, 2):
        start = b"RESPMOD icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, "
        stream = start + b"res-hdr=%d, null-body=%d\r\n\r\n"
        other = Playbook(ServerConnection(), play.cut)
        refuses(other, stream % (middle, whole) + GET + OK)


def test_negative_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=-1"))


def test_negative_first_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=-1, null-body=%d" % len(GET)))


def test_plus_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=+%d" % len(GET)))


def test_hexadecimal_offset(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=0x%x" % len(GET)))


def test_decreasing_offsets(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=%d, null-body=0" % len(GET)))


def test_offset_overflows_32_bits(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % (2**32 + len(GET))), 413)


def test_offset_overflows_64_bits(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % (2**64 + len(GET))))


def test_offset_of_other_digits(play: Playbook) -> None:
    """int() takes these: Arabic digits as UTF-8, an underscore."""
    for number in ("\u0661".encode(), b"5_7", b" 57", b"57.0"):
        refuses(Playbook(ServerConnection(), play.cut), encapsulating(b"req-hdr=0, null-body=" + number))


def test_duplicate_encapsulated(play: Playbook) -> None:
    same = b"req-hdr=0, null-body=%d" % len(GET)
    for second in (same, b"null-body=0", b"req-hdr=0, req-body=%d" % len(GET)):
        other = Playbook(ServerConnection(), play.cut)
        refuses(other, encapsulating(same, GET, b"ENCAPSULATED:" + second))


def test_encapsulated_hidden_by_folding(play: Playbook) -> None:
    """A folded line is a value, never a field: the second Encapsulated is part of X."""
    stream = encapsulating(b"req-hdr=0, null-body=%d" % len(GET), GET, b"X: a\r\n Encapsulated: null-body=0")
    play.give(stream).sees(SOME_GET)


def test_encapsulated_with_a_blank_before_its_colon(play: Playbook) -> None:
    refuses(play, encapsulating(b"req-hdr=0, null-body=%d" % len(GET), GET, b"Encapsulated : null-body=0"))


# -- HTTP and ICAP framing apart -----------------------------------------------------------------


def test_content_length_of_http_never_frames(play: Playbook, server: ServerConnection) -> None:
    for length in (b"0", b"3", b"99999", b"5\r\nContent-Length: 6"):
        head = b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"
        play.give(icap(b"REQMOD", b"Allow: 204", request=head, body=b"5\r\nabcde\r\n" + END))
        play.sees(request(b"REQMOD", head=head, body=b"req-body"), data(b"abcde"), end())
        server.send_unmodified(BANNER)


def test_content_length_and_transfer_encoding_of_icap_never_frame(
    play: Playbook, server: ServerConnection
) -> None:
    headers = (b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Allow: 204")
    for _ in range(2):
        play.give(reqmod(*headers)).sees(SOME_GET)
        server.send_unmodified(BANNER)


def test_duplicate_host(play: Playbook, server: ServerConnection) -> None:
    """Host decides nothing here: both are kept, joined, and so are the host of nobody."""
    play.give(reqmod(b"Host: evil.example")).sees(SOME_GET)
    assert server.request is not None
    assert server.request.headers[b"host"] == b"icap.example, evil.example"


def test_duplicate_client_address_names_nobody(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"X-Client-IP: 10.0.0.1", b"x-client-ip: 10.0.0.2")).sees(SOME_GET)
    assert server.request is not None
    assert server.request.headers[b"x-client-ip"] == b"10.0.0.1, 10.0.0.2"


# -- chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        b"-5",
        b"+5",
        b"0x5",
        b" 5",
        b"0_5",
        b"",
        b"g",
        b"5g",
        b"5 5",
        b"5,",
        b"\t5",
        b"5\0",
        b"\0",
        b"5.",
        b"\xd9\xa5",
    ],
)
def test_chunk_size_that_int_or_strtol_takes(play: Playbook, size: bytes) -> None:
    refuses(play, reqmod(body=size + b"\r\nabcde\r\n" + END + HIDDEN), 400, SOME_POST)


def test_chunk_size_overflows_32_bits(play: Playbook, server: ServerConnection) -> None:
    """2**32 + 5 is that, not 5: all that follows is payload."""
    play.give(reqmod(body=b"100000005\r\nabcde\r\n" + END + HIDDEN))
    play.sees(SOME_POST, data(b"abcde\r\n" + END + HIDDEN))
    assert server.state is State.BODY


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"8000000000000000", b"F" * 16])
def test_chunk_size_overflows_63_bits(play: Playbook, size: bytes) -> None:
    refuses(play, reqmod(body=size + b"\r\nabcde\r\n" + END), 413, SOME_POST)


def test_chunk_size_overflows_64_bits(play: Playbook) -> None:
    refuses(play, reqmod(body=b"10000000000000005\r\nabcde\r\n" + END), 400, SOME_POST)


def test_endless_zeros_in_a_chunk_size(play: Playbook) -> None:
    refuses(play, reqmod(body=b"0" * 17 + b"\r\n\r\n"), 400, SOME_POST)


@pytest.mark.parametrize("wrong", [b"XX", b"\n\n", b"\r\r", b"\rX", b"0\r", b"\n"])
def test_chunk_without_its_crlf(play: Playbook, wrong: bytes) -> None:
    """A body longer than its chunk says: two bytes skipped unread would hide a chunk line (h11)."""
    refuses(play, reqmod(body=b"5\r\nabcde" + wrong + END + HIDDEN), 400, SOME_POST, data(b"abcde"))


def test_chunk_data_longer_than_its_size(play: Playbook) -> None:
    refuses(play, reqmod(body=b"5\r\nabcdefgh\r\n" + END), 400, SOME_POST, data(b"abcde"))


@pytest.mark.parametrize(
    "body", [b"5\nabcde\r\n" + END, b"5;a\nb\r\nabcde\r\n" + END, b"0\n\n", b"5\r\nabcde\n" + END]
)
def test_bare_lf_in_chunks(play: Playbook, body: bytes) -> None:
    """CVE-2023-46846: a lenient chunk decoder and a strict one see two different streams."""
    seen = [data(b"abcde")] if body.startswith(b"5\r\n") else []
    play.breaks(reqmod(body=body + HIDDEN), 400, SOME_POST, *seen)


@pytest.mark.parametrize(
    "body", [b"5\r\r\nabcde\r\n" + END, b"5;a\r\r\nabcde\r\n" + END, b"5;\rb\r\nabcde\r\n" + END]
)
def test_bare_cr_in_chunk_lines(play: Playbook, body: bytes) -> None:
    refuses(play, reqmod(body=body), 400, SOME_POST)


def test_nul_in_an_extension(play: Playbook) -> None:
    refuses(play, reqmod(body=b"5;a=\0\r\nabcde\r\n" + END), 400, SOME_POST)


def test_double_last_chunk_is_no_request(play: Playbook, server: ServerConnection) -> None:
    """Nextcloud sends one too many: the second is what it looks like, a bad request."""
    play.give(reqmod(b"Allow: 204", body=END)).sees(SOME_POST, end())
    server.send_unmodified(BANNER)
    play.breaks(END, 400)


def test_trailer_that_is_a_request(play: Playbook) -> None:
    refuses(play, reqmod(body=b"0\r\n" + HIDDEN), 400, SOME_POST)


def test_trailer_with_framing_fields_frames_nothing(play: Playbook) -> None:
    trailer = b"Encapsulated: null-body=0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n"
    play.give(reqmod(body=b"0\r\n" + trailer + b"\r\n")).sees(SOME_POST, end(trailer))


# -- previews ------------------------------------------------------------------------------------


def test_preview_evasion_by_a_quoted_ieof(play: Playbook) -> None:
    play.give(reqmod(b"Preview: 0", body=b'0; x="; ieof"\r\n\r\n'))
    play.sees(request(b"REQMOD", head=POST, body=b"req-body", preview=0), ("preview",))


def test_preview_evasion_by_an_open_quote(play: Playbook) -> None:
    refuses(
        play,
        reqmod(b"Preview: 0", body=b'0; x="; ieof\r\n\r\n'),
        400,
        request(b"REQMOD", head=POST, body=b"req-body", preview=0),
    )


def test_preview_longer_than_announced_is_all_seen(play: Playbook) -> None:
    play.give(reqmod(b"Preview: 1", body=b"5\r\nabcde\r\n" + END))
    play.sees(request(b"REQMOD", head=POST, body=b"req-body", preview=1), data(b"abcde"), ("preview",))


@pytest.mark.parametrize("value", [b"-1", b"+1", b"0x1", b"1.0", b"", b"1, 2", b"9" * 11])
def test_preview_that_int_or_strtol_takes(play: Playbook, value: bytes) -> None:
    refuses(play, reqmod(b"Preview: " + value, body=END))


def test_allocation_by_preview(play: Playbook) -> None:
    play.give(reqmod(b"Preview: 2147483647", body=b"1\r\nx\r\n0; ieof\r\n\r\n"))
    play.sees(request(b"REQMOD", head=POST, body=b"req-body", preview=2**31 - 1), data(b"x"), end(ieof=True))


# -- heads ---------------------------------------------------------------------------------------


def test_request_line_without_blank_or_query(play: Playbook) -> None:
    """CVE-2013-7401: a request line whose URI had neither a blank behind it nor a `?`."""
    for line in (
        b"OPTIONS icap://h/s",
        b"OPTIONS ",
        b"OPTIONS",
        b"OPTIONS icap://h/sICAP/1.0",
        b"OPTIONS  ICAP/1.0",
    ):
        refuses(Playbook(ServerConnection(), play.cut), line + b"\r\nHost: h\r\n\r\n")


def test_request_line_of_nothing_but_its_method(play: Playbook) -> None:
    """CVE-2013-7402."""
    for line in (b"RESPMOD", b"RESPMOD ?", b"RESPMOD icap://", b"RESPMOD icap:///", b"\x00", b" "):
        refuses(Playbook(ServerConnection(), play.cut), line + b" ICAP/1.0\r\nHost: h\r\n\r\n")


def test_encoded_line_break_in_the_uri_stays_encoded(play: Playbook, server: ServerConnection) -> None:
    """CVE-2012-3501: what was decoded here once ended in a header of the answer."""
    play.give(b"OPTIONS icap://h/s%0D%0AX:y?a=%0a ICAP/1.0\r\n\r\n").sees(request(b"OPTIONS"))
    assert server.request is not None
    assert server.request.path == b"/s%0D%0AX:y"


def test_allow_by_substring() -> None:
    for value in (b"2040", b"x204", b"1204", b"204x", b"20 4", b"trailers;204"):
        assert b"204" not in tokens(value)
        server = ServerConnection()
        server.receive(reqmod(b"Allow: " + value))
        pull(server)
        assert not server.may_204
    assert b"204" in tokens(b"trailers,\t204 ")


@pytest.mark.parametrize("bad", [b"\0", b"\r", b"\n", b"\r\r", b"\n\r", b"a\0b"])
def test_nul_bare_cr_and_bare_lf_in_headers(play: Playbook, bad: bytes) -> None:
    refuses(play, reqmod(b"X: a" + bad + b"b"))


@pytest.mark.parametrize("bad", [b"\0", b"\r", b"\n"])
def test_nul_bare_cr_and_bare_lf_in_encapsulated_heads(play: Playbook, bad: bytes) -> None:
    head = GET[:-2] + b"X: a" + bad + b"b\r\n\r\n"
    refuses(play, icap(b"REQMOD", request=head))
    refuses(
        Playbook(ServerConnection(), play.cut),
        icap(b"RESPMOD", request=GET, response=OK[:-2] + b"X:" + bad + b"\r\n\r\n"),
    )


def test_head_ended_by_bare_lf_is_no_head(play: Playbook) -> None:
    play.give(b"OPTIONS icap://h/s ICAP/1.0\nHost: h\n\n").sees()
    with pytest.raises(RemoteProtocolError):
        play.ends()


def test_field_without_a_colon(play: Playbook) -> None:
    refuses(play, reqmod(b"OPTIONS icap://h/hidden ICAP/1.0"[:7]))


def test_folding_before_any_field(play: Playbook) -> None:
    refuses(play, b"OPTIONS icap://h/s ICAP/1.0\r\n Encapsulated: null-body=0\r\n\r\n")


def test_equal_names_by_the_thousand(play: Playbook) -> None:
    """Joining their values costs the square of their number."""
    refuses(play, reqmod(*[b"a:"] * 5000))


# -- the answer's side ---------------------------------------------------------------------------


def test_stale_state_of_the_last_request(play: Playbook, server: ServerConnection) -> None:
    """e2guardian #679: the flag of a body, of a preview, of Allow outlived its request."""
    play.give(respmod(b"Preview: 0", b"Allow: 204, 206", b"Connection: keep-alive", body=b"0; ieof\r\n\r\n"))
    server.send_unmodified(BANNER)
    play.seen.clear()
    play.give(reqmod()).sees(SOME_GET)
    assert (server.may_204, server.may_206, server.reading_body, server.body_bytes) == (
        False,
        False,
        False,
        0,
    )
    assert server.request is not None
    assert (server.request.preview, server.request.allow, server.request.response_head) == (
        None,
        frozenset(),
        None,
    )


def test_no_byte_behind_an_answer(play: Playbook, server: ServerConnection) -> None:
    """F5 ID566576: bytes behind an answer become the answer to another user's request."""
    play.give(reqmod(b"Allow: 204", body=b"5\r\nab"))
    server.send_answer(Answer(200, OK, body=b"blocked"), BANNER)
    with pytest.raises(RemoteProtocolError):
        play.give(b"cdeXX")
    assert server.send_error(400, BANNER) == b""
