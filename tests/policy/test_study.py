"""A rule under study comes with a request, its decision, and the CONNECT before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.study import Study
from tests.policy.asking import policy
from tests.policy.linting import locate

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
access:
  - {name: first, when: {host: [a.test]}, action: block}
  - {name: hidden, when: {host: [w.a.test], user: [bob]}, action: allow}
  - {name: tried, when: {host: [s.test]}, action: block, mode: shadow}
  - {name: plain, when: {host: [p.test], scheme: [http]}, action: block}
  - {name: video, when: {host: [v.test], mime: [video/mp4]}, action: block}
  - {name: after, when: {host: [v.test]}, action: block}
tls:
  - {when: {host: [v.test]}, action: splice}
"""


def test_studied(tmp_path: Path) -> None:
    study = Study(policy(tmp_path, TEXT), locate)
    first, hidden, plain, video, after = study.studied
    assert [one.rule.name for one in study.studied] == ["first", "hidden", "plain", "video", "after"]
    assert [one.is_reached for one in study.studied] == [True, False, True, True, False]
    assert [one.ends for one in study.studied] == [True, False, True, True, True]
    assert hidden.decision is not None
    assert hidden.decision.rule is first.rule
    tunnel = study.tunnel(first)
    assert tunnel is not None
    assert (tunnel.connect.method, tunnel.connect.uri) == ("CONNECT", "a.test:443")
    assert tunnel.decision.rule is first.rule
    assert study.tunnel(plain) is None
    opened = study.tunnel(video)
    assert opened is not None
    assert study.decide_tls(opened.connect).action == "splice"
    assert after.question is not None
    assert study.next_after(video.rule, after.question) is after.rule
    assert study.next_after(after.rule, after.question) is None
