"""What a decision costs with 50, 500 and 5,000 rules and a list of a million domains; and to load them.

    python -m tests.bench.decisions [--domains N] [--json]

No socket and no log: the policy alone, asked as the server asks it, with request heads as they come.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.http import RequestHead
from icapd.policy import load_policy
from icapd.transaction import Client, Point, Transaction
from tests.bench.domains import cache_directory, make_domains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icapd.policy import Policy

COUNTS = (50, 500, 5_000)
ROUNDS = 7
Row = dict[str, float | int]

# Rules of every kind that traffic can pass by, in turn; {n} makes each another one.
KINDS = (
    "host: [h{n}.example]",
    "url: [u{n}.example/a/b]",
    "path: [/p{n}/q]",
    "client: [10.{a}.{b}.0/24], host: [c{n}.example]",
    "user: [u{n}], host: [d{n}.example]",
    "host: [e{n}.example], method: [POST]",
    "mime: [application/x-{n}], host: [f{n}.example]",
    "host: [g{n}.example], schedule: {days: [mon-fri], from: '08:00', to: '18:00', tz: Europe/Berlin}",
)


def write_policy(directory: Path, rules: int, listed: Path) -> Path:
    """Write a policy of `rules` rules, the last of which blocks what is on the list."""
    lines = [f"lists: {{listed: {{domains: [{listed}]}}}}", "access:"]
    for n in range(rules - 1):
        when = KINDS[n % len(KINDS)]
        for name, value in (("{n}", n), ("{a}", n // 250 % 250), ("{b}", n % 250)):
            when = when.replace(name, str(value))
        lines.append(f"- {{name: r{n}, when: {{{when}}}, action: block}}")
    lines.append("- {name: listed, when: {list: [listed]}, action: block}")
    path = directory / f"policy-{rules}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def heads(hosts: Sequence[str]) -> list[bytes]:
    """Return a request head for each host."""
    return [f"GET http://{host}/a/b?c=d HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host in hosts]


def cost(policy: Policy, raw: Sequence[bytes]) -> float:
    """Return the µs of one decision, its request line read included, in the best of some rounds."""
    client = Client("10.0.0.1", "anna")
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for head in raw:
            policy.decide(Transaction(Point.REQMOD, client, RequestHead(head), now=1.0))
        times.append((time.perf_counter() - started) / len(raw) * 1e6)
    return min(times)


def measure(rules: int, directory: Path, domains: int) -> Row:
    """Load a policy of `rules` rules and ask it."""
    files = make_domains(cache_directory(), domains)
    path = write_policy(directory, rules, files.listed)
    load_policy(path)  # builds the list's index, if no run before did
    started = time.perf_counter()
    policy = load_policy(path)
    loaded = time.perf_counter() - started
    missing = heads(files.missing.read_text().split())
    listed = heads([host for host in files.quarter.read_text().split() if policy.lists.lookup(host)])
    return {
        "rules": rules,
        "load_s": loaded,
        "miss_us": cost(policy, missing),
        "hit_us": cost(policy, listed),
    }


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.decisions", description=__doc__)
    parser.add_argument("--domains", type=int, default=1_000_000, help="on the list (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        rows = [measure(rules, Path(directory), arguments.domains) for rules in COUNTS]
    if arguments.json:
        json.dump({"domains": arguments.domains, "rows": rows}, sys.stdout)
        return 0
    print(
        f"{arguments.domains:,} domains; µs of one decision with its request line; s to load policy and list\n"
    )
    print("| rules | load s | no rule matches µs | blocked by the list µs | of 50 rules |")
    print("|--:|--:|--:|--:|--:|")
    for row in rows:
        ratio = row["miss_us"] / rows[0]["miss_us"]
        print(
            f"| {row['rules']:,} | {row['load_s']:.2f} | {row['miss_us']:.2f} | {row['hit_us']:.2f} | {ratio:.2f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
