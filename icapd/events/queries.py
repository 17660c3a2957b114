"""Questions to the store as SQL: which rows a `Search` may find, and how rows are counted.

The SQL asks for exactly the values that `Search.finds` accepts: those that occur in an indexed column are
looked through first (each costs one step in the index), so that parts of texts, networks and any case are
compared by the same code as in a log file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.events.search import is_part, is_same, is_within

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from icapd.events.search import Search

GROUPS = {
    name: name
    for name in (
        "source", "event", "point", "method", "host", "url", "client", "user", "action", "stage", "rule",
        "category", "threat", "status", "policy",
    )
} | {
    "minute": "CAST(time / 60 AS INTEGER) * 60",
    "hour": "CAST(time / 3600 AS INTEGER) * 3600",
    "day": "CAST(time / 86400 AS INTEGER) * 86400",
}  # fmt: skip
"""What `counts` can count by: columns, and spans of time (s since 1970, when each begins, in UTC)."""

_MAX_VALUES = 10_000  # SQLite takes three times as many
_Sql = tuple[str, list[object]]


def where(search: Search, connection: sqlite3.Connection) -> _Sql:
    """Return a condition on `records` that holds for what `search` finds, and its parameters."""
    terms: list[str] = []
    values: list[object] = []
    if search.since is not None:
        terms.append("time >= ?")
        values.append(search.since.timestamp())
    if search.until is not None:
        terms.append("time < ?")
        values.append(search.until.timestamp())
    if search.id is not None:
        terms.append("id = ?")
        values.append(search.id)
    if search.action:
        _action(search.action, connection, terms, values)
    for column, wanted, accepts in (
        ("user", search.user, is_same),
        ("rule", search.rule, is_part),
        ("threat", search.threat, is_part),
        ("client", search.client, is_within),
    ):
        if wanted is None or accepts(wanted, None):
            continue
        found = [each for each in _distinct(column, connection) if accepts(wanted, each)]
        terms.append(f"{column} IS NOT NULL")
        if len(found) <= _MAX_VALUES:  # else `finds` looks at each
            terms.append(f"{column} IN ({', '.join('?' * len(found))})")
            values += found
    if search.host:
        name = search.host.casefold().rstrip(".")
        literal = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        terms.append(
            "n IN (SELECT n FROM records INDEXED BY records_host WHERE host = ? OR host LIKE ? ESCAPE '\\')"
        )
        values += [name, f"%.{literal}"]
    return " AND ".join(terms) or "1", [_bindable(each) for each in values]


def _bindable(value: object) -> object:
    """Return what SQLite takes for it: of half a surrogate pair, as arguments may hold, there is no UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _action(wanted: str, connection: sqlite3.Connection, terms: list[str], values: list[object]) -> None:
    """An event's name counts as its action, where it has none."""
    action, event = (
        wanted.casefold(),
        [each for each in _distinct("event", connection) if is_same(wanted, each)],
    )
    if event:
        terms.append("event = ? AND (action IS NULL OR action = '')")
        values += event[:1]
    elif action == "allow":
        terms.append("action = 'allow'")
    else:
        terms.append("action = ? AND action <> 'allow'")  # the latter is said by its index too
        values.append(action)


def _distinct(column: str, connection: sqlite3.Connection) -> list[str]:
    """Return the values of an indexed column, by one step in its index for each."""
    rows = connection.execute(
        f"WITH RECURSIVE each(v) AS (SELECT min({column}) FROM records WHERE {column} IS NOT NULL"  # noqa: S608
        f" UNION ALL SELECT (SELECT min({column}) FROM records WHERE {column} > each.v) FROM each"
        " WHERE each.v IS NOT NULL) SELECT v FROM each WHERE v IS NOT NULL"
    )
    return [str(value) for (value,) in rows]


def numbers_of(condition: str, *, newest: bool) -> str:
    """Return the query for rows' numbers above its last parameter, the oldest first or the `newest`."""
    # "+" keeps SQLite from walking through all rows in their order where an index of the condition serves.
    n = "n" if condition == "1" else "+n"
    return f"SELECT n FROM records WHERE {condition} AND {n} > ? ORDER BY {n}{' DESC' if newest else ''}"  # noqa: S608


def grouped(by: Sequence[str], condition: str) -> str:
    """Return the query that counts by `by`, the most first. Raises ValueError for what cannot be counted by.

    Lines that repeat a CONNECT on the same tunnel ("again") are not counted twice.
    """
    if unknown := [each for each in by if each not in GROUPS]:
        raise ValueError(f"cannot count by {', '.join(unknown)}: there are {', '.join(GROUPS)}")
    columns = [GROUPS[each] for each in by]
    numbers = ", ".join(str(at + 1) for at in range(len(columns)))
    group = f" GROUP BY {numbers} ORDER BY {len(columns) + 1} DESC, {numbers}" if columns else ""
    return (
        f"SELECT {', '.join([*columns, 'count(*)'])} FROM records WHERE {condition}"  # noqa: S608
        f" AND (json IS NULL OR json NOT LIKE '%\"again\":%'){group} LIMIT ?"
    )
