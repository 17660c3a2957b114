"""Every transcript is played with its bytes whole, one by one, and in sevens."""

import pytest

from icapd.protocol import ClientConnection, ServerConnection
from tests.protocol.playbook import CUTS, Playbook


@pytest.fixture(params=CUTS, ids=["whole", "bytes", "sevens"])
def cut(request: pytest.FixtureRequest) -> int:
    value = request.param
    assert isinstance(value, int)
    return value


@pytest.fixture
def server() -> ServerConnection:
    return ServerConnection()


@pytest.fixture
def client() -> ClientConnection:
    return ClientConnection()


@pytest.fixture
def play(server: ServerConnection, cut: int) -> Playbook:
    return Playbook(server, cut)
