"""Names by number and numbers by name."""

from hypothesis import given
from hypothesis import strategies as st

from monitor import ids
from monitor.ids import Ids

NAMES = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(["a", "b", "", "\ud800", "Казань"])), max_size=60)


@given(NAMES, st.integers(0, 5))
def test_each_name_is_found_by_its_last_number(names: list[str], recent: int) -> None:
    many = Ids()
    before, ids.RECENT = ids.RECENT, recent
    try:
        for name in names:
            many.append(name)
    finally:
        ids.RECENT = before
    last = {name: number for number, name in enumerate(names)}
    assert list(many) == names
    assert len(many) == len(names)
    assert {name: many.find(name) for name in names} == last
    assert many.find("no such name") is None


def test_two_names_of_one_hash_are_two() -> None:
    class Clashing(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other)

    many = Ids([Clashing(name) for name in "abc"])
    for n in range(ids.RECENT):
        many.append(f"more {n}")
    assert [many.find(Clashing(name)) for name in "abc"] == [0, 1, 2]
    assert many.find(Clashing("d")) is None
