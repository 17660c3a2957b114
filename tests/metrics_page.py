"""The table in docs/metrics.md, made from the metrics themselves: `python -m tests.metrics_page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from icapd.metrics.families import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
_BEGIN, _END = "<!-- made by tests.metrics_page -->\n", "<!-- end -->\n"


def table() -> str:
    """Return the table."""
    rows = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.says.replace('|', '/')} |")
    return "\n".join([*rows, ""])


def page() -> str:
    """Return the page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
