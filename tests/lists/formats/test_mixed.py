"""Lines of any kind."""

from __future__ import annotations

from tests.lists.reading import ignored, taken


def test_lines_are_what_they_look_like() -> None:
    text = (
        "a.example\nhttp://b.example/x\nc.example/y\n10.0.0.0/8\n1.2.3.4\n1.2.3.4-1.2.3.9\n0.0.0.0 h.example\n"
        "44D88612FEA8A8F36DE82E1278ABB02F\n2001:db8::/32 ; x\n"
    )
    assert taken("files", text) == [
        "name a.example",
        "url b.example /x",
        "url c.example /y",
        "range 4 167772160 184549375",
        "range 4 16909060 16909060",
        "range 4 16909060 16909065",
        "name h.example",
        "md5 44d88612fea8a8f36de82e1278abb02f",
        "range 6 42540766411282592856903984951653826560 42540766490510755371168322545197776895",
    ]
    assert ignored("files", text) == []


def test_a_digest_in_a_name_or_a_path_is_none() -> None:
    label = "AB" * 16
    text = f"{label}.Example\n0.0.0.0 {label}.a.example\nhttp://a.example/{label}/x\n{label},Eicar\n"
    lower = label.lower()
    assert taken("files", text) == [
        f"name {lower}.example",
        f"name {lower}.a.example",
        f"url a.example /{label}/x",
        f"md5 {lower} Eicar",
    ]


def test_lines_of_no_kind_say_why() -> None:
    wide = "a network too wide: IPv4 from /8 and IPv6 from /16 on are taken"
    text = "0.0.0.0/0\n::/0\n1.2.3.0/33\n<p>\nco.uk\nhttp://[::1\n"
    assert ignored("files", text) == [
        (1, wide),
        (2, wide),
        (3, "not an address, network or range"),
        (4, "not a domain name"),
        (5, "a public suffix: it would cover everybody's names below it"),
        (6, "not a URL"),
    ]
