"""How valid input is spoilt: cut, replaced, inserted into, duplicated, crossed with another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

_Piece = TypeVar("_Piece", bytes, str)

BYTES = (
    b"", b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"-", b"+", b"0x", b";", b",", b"=", b":",
    b'"', b"\\", b"'", b"%", b"%00", b"%2e", b"%25", b"/", b"..", b"//", b"@", b"#", b"?", b"[", b"]", b"(", b"<",
    b">", b"\xff", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"99999999999999999999",
    b"-1", b"0", b"f" * 17, b"\xe2\x80\xae", b"\xc0\xaf", b"x" * 300,
)  # fmt: skip
TEXTS = (*[piece.decode("latin-1") for piece in BYTES], "\u202e", "\u2028", "\ud800", "\U0001f600", "\u0130", "\u00ad", "\u3002",
         "\uff0e", "\u200d", "\ufeff", "{", "}", "{url}", "&", "<script>", "*", "|", "\x1b[2J", "\x85")  # fmt: skip


def spoilt(whole: Sequence[_Piece], pieces: Sequence[_Piece], most: int = 4) -> st.SearchStrategy[_Piece]:
    """Return what draws one of `whole`, spoilt in up to `most` places.

    The edits are one draw of bytes, five for each edit: hypothesis is quick with it, and shrinks it well.
    """
    return st.binary(min_size=1, max_size=1 + _EDIT * most).map(
        lambda program: _spoil(whole[program[0] % len(whole)], _edits(program), whole, pieces)
    )


_EDIT = 5  # bytes of one edit


def _edits(program: bytes) -> list[tuple[str, int, int, int]]:
    cut = [program[at : at + _EDIT] for at in range(1, len(program) - _EDIT + 1, _EDIT)]
    return [
        ("rrridcxb"[how % 8], high << 8 | low, length % 65, which) for how, high, low, length, which in cut
    ]


def _spoil(
    data: _Piece,
    edits: list[tuple[str, int, int, int]],
    whole: Sequence[_Piece],
    pieces: Sequence[_Piece],
) -> _Piece:
    for how, place, length, which in edits:
        at = place % (len(data) + 1)
        end = min(len(data), at + length)
        piece = pieces[which % len(pieces)]
        if how == "r":  # replace
            data = data[:at] + piece + data[end:]
        elif how == "i":  # insert
            data = data[:at] + piece * (1 + length % 7) + data[at:]
        elif how == "d":  # duplicate
            data = data[:end] + data[at:end] * (1 + which % 9) + data[end:]
        elif how == "c":  # cut off
            data = data[:at]
        elif how == "b" and isinstance(data, bytes):  # one byte
            data = data[:at] + bytes([which]) + data[at + 1 :]
        else:  # cross with another
            other = whole[which % len(whole)]
            data = data[:at] + other[place % (len(other) + 1) :]
        data = data[: 1 << 17]
    return data


def spoilt_bytes(*whole: bytes, more: tuple[bytes, ...] = (), most: int = 4) -> st.SearchStrategy[bytes]:
    """Return what draws bytes near `whole`, with `more` among the pieces put in."""
    return spoilt(whole, (*BYTES, *more * 3), most)


def spoilt_text(*whole: str, more: tuple[str, ...] = (), most: int = 4) -> st.SearchStrategy[str]:
    """Return what draws text near `whole`; with lone surrogates, bidi marks and the like."""
    return spoilt(whole, (*TEXTS, *more * 3), most)


_SCALARS = st.sampled_from(
    ["", "x", "block", "allow", "true", "~", "-1", "0", "9" * 30, "1e999", "a.example", "*", "(a+)+$", "[", "10.0.0.0/8",
     "../x", "/", "{url}", "{nothing}", "x" * 300, "22:00-06:00", "\u202e", "\u0130", "a: b", "# no", "\0", "null", "nan"]
)  # fmt: skip
NODES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_SCALARS | st.sampled_from(["name", "when", "action", "host"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed_tree(tree: Any, edits: list[tuple[int, str, Any]]) -> Any:
    """Return a copy of a tree of dicts and lists, with nodes replaced, removed, doubled or moved."""
    for where, how, new in edits:
        places = list(_places(tree))
        path = places[where % len(places)]
        tree = _changed(tree, path, how, new)
    return tree


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in children:
        found += _places(value, (*path, key))
    return found


def _changed(tree: Any, path: tuple[Any, ...], how: str, new: Any) -> Any:
    if not path:
        return {"replace": new, "nest": [tree], "wrap": {"name": tree}}.get(how, tree)
    head, rest = path[0], path[1:]
    if rest or how in {"replace", "nest", "wrap"}:
        out = tree.copy()
        out[head] = _changed(tree[head], rest, how, new)
        return out
    if isinstance(tree, dict):
        out = {key: value for key, value in tree.items() if key != head}
        if how == "double":
            out[head + "s"] = out[head] = tree[head]
        elif how == "rename":
            out[new if isinstance(new, str) else "x"] = tree[head]
        return out
    if how == "double":
        return [*tree[: head + 1], *tree[head:]]
    return [*tree[:head], *tree[head + 1 :]]


EDITS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["replace", "replace", "remove", "double", "rename", "nest", "wrap"]),
        NODES,
    ),
    max_size=4,
)
