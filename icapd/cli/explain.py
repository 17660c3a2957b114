"""`icapd explain`: what the policy does with a request, and why; the same function as the server asks."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from icapd.adaptation import display_url
from icapd.cli.options import config_option
from icapd.cli.subject import Subject, open_subject
from icapd.cli.trace import as_text
from icapd.events import decision_line
from icapd.http import ResponseHead
from icapd.policy.explain import Explanation, as_json
from icapd.policy.question import Answered, Question, read_field, read_question, read_time
from icapd.policy.scanned import BodyText, Scanned, read_error, read_finding

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@click.argument("method", required=False)
@click.argument("url", required=False)
@click.option("--client", metavar="IP", help="Who asks: the address.")
@click.option("--user", metavar="NAME", help="Who asks: the name Squid knows him by.")
@click.option("--group", "groups", metavar="NAME", multiple=True, help="A group he is in; may be repeated.")
@click.option("--sni", metavar="NAME", help="The name in the TLS handshake of the tunnel.")
@click.option("--connect-host", metavar="NAME", help="The name the tunnel was opened with.")
@click.option("--proxy-port", type=int, metavar="PORT", help="Squid's port that he uses.")
@click.option(
    "--resolved", "addresses", metavar="IP", multiple=True, help="An address that the name leads to."
)
@click.option("--at", metavar="TIME", help="When: 2026-11-27T22:00+01:00; local time without a zone.")
@click.option("-H", "--header", "headers", metavar="'Name: value'", multiple=True, help="A request header.")
@click.option("--icap-header", "icap_headers", metavar="'Name: value'", multiple=True, help="An ICAP header.")
@click.option("--status", type=int, metavar="N", help="Ask about the response too: its status.")
@click.option(
    "--response-header", "response_headers", metavar="'Name: value'", multiple=True, help="A response header."
)
@click.option("--response-size", type=int, metavar="BYTES", help="How long the response's body is.")
@click.option(
    "--file-type", "types", metavar="TYPE", multiple=True, help="What the body, or a part of it, is."
)
@click.option("--hash", "digests", metavar="HEX", multiple=True, help="MD5 or SHA-256 of the body or a part.")
@click.option("--finding", "findings", metavar="KIND=NAME", multiple=True, help="What scanning finds in it.")
@click.option("--scan-error", "errors", metavar="ADAPTER=open|closed", multiple=True, help="Who cannot look.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--all", "whole", is_flag=True, help="Print every rule looked at, however many.")
@click.option("--answer", "answers", is_flag=True, help="Print also what icapd would send: head and page.")
@click.option("--batch", is_flag=True, help="Read JSON lines from standard input, print one for each.")
def explain(config_file: Path, method: str | None, url: str | None, *, batch: bool, **given: Any) -> int:  # noqa: ANN401  (click's)
    """Say what the policy does with METHOD URL, and show every rule that had a say.

    -c takes an icapd.yaml, or a policy file directly (told apart by their keys). CONNECT takes host:port.
    The decision comes from the function that serves; only the answer's id is made up.

    A line of --batch is {id, method, uri, headers, icap_headers, groups, meta: {sni, connect_host,
    proxy_port, resolved}, response: {status, headers, body_len, body_head_hex, server_ip}, body: {size,
    file_type, hash}, findings: [{kind, threat, by, where}], errors: [{by, on_error}], at}. What is said of
    the body and of what is found in it is about the response, if there is one, else about the request.
    A line that cannot be read gives {id, error}, and exit status 1 at the end.
    """
    subject = open_subject(config_file)
    if batch:
        if method is not None:
            raise click.UsageError("--batch reads its requests from standard input")
        return _batch(subject, answers=given["answers"])
    if method is None or url is None:
        raise click.UsageError("METHOD and URL are missing")
    explanation = subject.explain(_question(subject, method, url, given))
    if given["as_object"]:
        print(json.dumps(_object(subject, explanation, answers=given["answers"])))
        return 0
    print(as_text(explanation, subject, whole=given["whole"]))
    if given["answers"]:
        print(_answer_text(subject, explanation))
    return 0


def _question(subject: Subject, method: str, url: str, given: dict[str, Any]) -> Question:
    try:
        at = read_time(given["at"]) if given["at"] else _now()
        question = Question(
            method,
            url,
            at,
            tuple(map(read_field, given["headers"])),
            tuple(map(read_field, given["icap_headers"])),
            given["groups"] or None,
            given["sni"],
            given["connect_host"],
            given["proxy_port"],
            given["addresses"],
        )
        status, size, headers = given["status"], given["response_size"], given["response_headers"]
        if status is not None or size is not None or headers:
            response = Answered(status or 200, tuple(map(read_field, headers)), size)
            question = replace(question, response=response)
        question = replace(question, scanned=_scanned(given))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return subject.known(question).as_user(given["client"], given["user"])


def _scanned(given: dict[str, Any]) -> Scanned:
    body = None
    if given["types"] or given["digests"]:
        try:
            said = BodyText(file_type=given["types"] or None, hash=given["digests"] or None)
        except ValidationError as error:
            value = error.errors()[0]["input"]
            raise ValueError(f"{value!r} is no file type that icapd knows, or no MD5 or SHA-256") from None
        body = said.facts()
    findings, errors = map(read_finding, given["findings"]), map(read_error, given["errors"])
    return Scanned(tuple(findings), tuple(errors), body)


def _batch(subject: Subject, *, answers: bool) -> int:
    """Answer line by line, each at once, so that another program may ask and wait in turn."""
    failed = 0
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        out = _line(subject, line, answers=answers)
        failed |= "error" in out
        print(json.dumps(out), flush=True)
    return int(failed)


def _line(subject: Subject, line: bytes, *, answers: bool) -> dict[str, Any]:
    identity = None
    try:
        value = json.loads(line)
        identity = value.get("id") if isinstance(value, dict) else None
        explanation = subject.explain(subject.known(read_question(value, _now())))
    except (ValueError, RecursionError) as error:  # not JSON, or JSON that is no question
        return {"id": identity, "error": str(error) or "nested too deeply"}
    return {"id": identity, **_object(subject, explanation, answers=answers)}


def _object(subject: Subject, explanation: Explanation, *, answers: bool) -> dict[str, Any]:
    last = explanation.last
    out = as_json(explanation, location=subject.location(last), bumps=subject.bumps, sent=subject.sent(last))
    return {**out, "answer": _answer(subject, explanation)} if answers else out


def _answer(subject: Subject, explanation: Explanation) -> dict[str, Any] | None:
    """Return what would be sent in place of the message, with the line that would be logged."""
    last = explanation.last
    answer = subject.answer(last)
    if answer is None or last.tx is None:
        return None
    head = ResponseHead(answer.head).headers if answer.is_response else None
    url = display_url(last.tx)
    return {
        "head": answer.head.decode("latin-1"),
        "headers": [[a.decode("latin-1"), b.decode("latin-1")] for a, b in head.items()] if head else [],
        "icap_headers": [[a.decode("ascii"), b.decode("utf-8")] for a, b in answer.reply_headers],
        "page": (answer.body or b"").decode("utf-8", "backslashreplace"),  # a picture is none
        "log": decision_line(last.tx, last.decision, decision_id="explain", url=url, status=200) + "}\n",
    }


def _answer_text(subject: Subject, explanation: Explanation) -> str:
    answer = _answer(subject, explanation)
    if answer is None:
        return "\nanswer: none, the message passes as it came"
    icap = "".join(f"{name}: {value}\n" for name, value in answer["icap_headers"])
    return f"\n{icap}{answer['head']}{answer['page']}".replace("\r\n", "\n").rstrip()


def _now() -> float:
    return time.time()  # noqa: TID251  # a question without a time is asked now
