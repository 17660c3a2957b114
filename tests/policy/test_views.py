"""A view is made once, for each owner."""

from __future__ import annotations

from icapd.policy.views import View


class Owner:
    made = 0

    @View
    def number(self) -> int:
        """The number."""
        self.made += 1
        return self.made


def test_it_is_made_once_for_each_owner() -> None:
    one, two = Owner(), Owner()
    assert one.made == 0
    assert (one.number, one.number, two.number) == (1, 1, 1)
    assert isinstance(Owner.number, View)
    assert Owner.number.__doc__ == "The number."
