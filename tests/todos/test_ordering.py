"""Positions: always room, always in order, never long."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doable.todos import ordering

places = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=120)


class Siblings:
    """What a list does with positions, without the list; `revision` rises with every change as a stream's does."""

    def __init__(self) -> None:
        self.revision = 2
        self.positions: list[str] = []
        self.renewed = 0

    def put(self, index: int) -> None:
        self.revision += 1
        end = ordering.at_end(self.revision)
        if index >= len(self.positions):
            self.positions.append(end)
            return
        left = self.positions[index - 1] if index else ""
        if (position := ordering.between(left, self.positions[index])) is not None:
            self.positions.insert(index, position)
            return
        start, renewed = ordering.spread(self.positions, index, end)
        self.positions[start : start + len(renewed) - 1] = renewed
        self.renewed += len(renewed)
        self.revision += len(renewed) - 1

    def check(self) -> None:
        assert all(left < right for left, right in pairwise([*self.positions, ordering.at_end(self.revision + 1)]))
        assert max(map(len, self.positions), default=0) <= ordering.LONGEST


@given(places)
def test_wherever_todos_are_put_their_order_is_that_of_their_positions(places: list[tuple[int, bool]]) -> None:
    siblings = Siblings()
    for index, at_end in places:
        siblings.put(len(siblings.positions) if at_end else index)
        siblings.check()


@pytest.mark.parametrize("index", [0, 1, 7, -1])
def test_a_thousand_todos_at_one_place_keep_positions_short(index: int) -> None:
    siblings = Siblings()
    for _ in range(9):
        siblings.put(9)
    for _ in range(1_500):
        siblings.put(index if index >= 0 else len(siblings.positions) - 1)
    siblings.check()
    assert siblings.renewed < 3 * 1_500, "shortening costs more than a few todos for each move"


digits = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", max_size=8)


@given(digits, digits)
def test_what_is_between_is_between_or_nothing(left: str, right: str) -> None:
    middle = ordering.between(left, right)
    if middle is not None:
        assert left < middle < right
    else:
        # No digit comes before 0, so these alone have nothing between them.
        assert left >= right or not right.removeprefix(left).strip("0")


@given(st.lists(digits.filter(bool), min_size=1, max_size=40), st.data())
def test_room_is_made_among_positions_of_any_kind(positions: list[str], data: st.DataObject) -> None:
    """Two that are equal, or have nothing between them, come out of the trash."""
    positions.sort()
    index = data.draw(st.integers(0, len(positions)))
    start, renewed = ordering.spread(positions, index, "z" * 9)
    after = [*positions[:start], *renewed, *positions[start + len(renewed) - 1 :]]
    changed = after[max(0, start - 1) : start + len(renewed) + 1]
    assert len(after) == len(positions) + 1
    assert start <= index < start + len(renewed)
    assert all(left < right for left, right in pairwise(changed))
