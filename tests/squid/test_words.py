import pytest

from icapd.squid.words import word


@pytest.mark.parametrize("text", ["/etc/squid/a-b_c.pem", "[::1]:3128", "café.test", "10.0.0.0/8", "=a.test"])
def test_what_is_one_token(text: str) -> None:
    assert word("x", text) == text


@pytest.mark.parametrize("text", ["a b", "a\tb", 'a"b', "a#b", "a%b", "${a}", "a\nb", "`a`", "f(x)", "a\\b"])
def test_what_would_begin_something_else(text: str) -> None:
    with pytest.raises(ValueError, match="squid.conf cannot hold"):
        word("x", text)
