"""What a person's word on stories changes: stories become one, items become a story of their own. Pure.

The store asks inside the transaction that writes it down, so that nothing moves in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from monitor.errors import RulingError
from monitor.model import (
    Delivery,
    Placement,
    Rearrangement,
    Relation,
    Ruling,
    RulingKind,
    Telling,
    Timeline,
    Verdict,
)
from monitor.text import item_id
from monitor.threads import rethread


def merge(timelines: Sequence[Timeline], deliveries: Sequence[Delivery], author: str) -> Rearrangement:
    """Make stories one: the first. Its root stays the root, the others' become updates; copies stay copies.

    deliveries: the outbox of these stories, oldest first.

    Raises: RulingError.
    """
    _refuse_held(timelines)
    first, *others = timelines
    ids = tuple(timeline.story.id for timeline in timelines)
    if len(set(ids)) < len(ids) or not others:
        raise RulingError(f"a story cannot be merged with itself: {', '.join(ids)}")
    root = _root(first.tellings)
    because = f"merged by hand ({author}) with “{root.item.title}”"
    joined = Placement(first.story.id, Relation.UPDATE, root.item.id, because=because)
    placements = {
        telling.item.id: joined if _is_root(telling) else replace(telling.placement, story=first.story.id)
        for timeline in others
        for telling in timeline.tellings
    }
    ruling = Ruling(RulingKind.MERGE, author, first.story.id, ids, tuple(placements))
    tellings = [telling for timeline in timelines for telling in timeline.tellings]
    return Rearrangement(ruling, placements, threads=rethread(deliveries, _moved(tellings, placements)))


def split(
    timeline: Timeline,
    items: Collection[str],
    deliveries: Sequence[Delivery],
    author: str,
    now: datetime,
    *,
    alone: bool = False,
) -> Rearrangement:
    """Take items out of a story into one of their own, of which the earliest is the root; their copies go along.

    alone: the copies stay.

    Raises: RulingError.
    """
    _refuse_held([timeline])
    taken, left = _parted(timeline.tellings, set(items), alone=alone)
    if not left:
        hint = "" if alone or len(items) == len(taken) else "; their copies go with them, unless --alone is given"
        raise RulingError(f"nothing would be left of story {timeline.story.id}: there is nothing to split{hint}")
    root, old = _orphans(taken)[0], timeline.story.id
    # not the item's id, after which its old story may be named
    story = item_id("split", f"{now.isoformat()} {root.item.id}")
    stays = next(filter(_is_root, left), _orphans(left)[0])
    placements = _settled(taken, story, root, f"taken out of its story by hand ({author})")
    placements |= _settled(left, old, stays, f"left there when “{root.item.title}” was taken out by hand ({author})")
    return Rearrangement(
        Ruling(RulingKind.SPLIT, author, story, (story, old), tuple(telling.item.id for telling in taken)),
        placements,
        {story: root.item.title} | ({} if _is_root(stays) else {old: stays.item.title}),
        rethread(deliveries, _moved(timeline.tellings, placements)),
    )


def _refuse_held(timelines: Iterable[Timeline]) -> None:
    for timeline in timelines:
        for telling in timeline.tellings:
            if telling.verdict is Verdict.HELD:
                url = telling.item.feed.url
                raise RulingError(
                    f"“{telling.item.title}” ({telling.item.id}) is held and stands in no story yet: "
                    f"monitor feeds release {url}, or drop"
                )


def _is_root(telling: Telling) -> bool:
    return telling.placement.relation is Relation.ROOT


def _root(tellings: Sequence[Telling]) -> Telling:
    return next(filter(_is_root, tellings), tellings[0])


def _parted(
    tellings: Sequence[Telling], named: set[str], *, alone: bool
) -> tuple[Sequence[Telling], Sequence[Telling]]:
    """What goes, and what stays, both in the order given."""
    gone = set(named)
    while not alone:
        copies = {
            telling.item.id
            for telling in tellings
            if telling.placement.relation is Relation.COPY and telling.placement.parent in gone
        }
        if copies <= gone:
            break
        gone |= copies
    return [t for t in tellings if t.item.id in gone], [t for t in tellings if t.item.id not in gone]


def _orphans(tellings: Sequence[Telling]) -> Sequence[Telling]:
    """Those that were joined by nothing of these."""
    here = {telling.item.id for telling in tellings}
    return [telling for telling in tellings if telling.placement.parent not in here] or tellings


def _settled(tellings: Sequence[Telling], story: str, root: Telling, because: str) -> dict[str, Placement]:
    """Where these stand as a story by themselves, as far as that is new: nothing is joined by what is elsewhere.

    Of copies whose original is gone the first tells it from now on, and the others are copies of that one.
    """
    placements = {root.item.id: Placement(story, Relation.ROOT, because=because)}
    instead = {root.placement.parent: root.item.id}
    for orphan in _orphans(tellings):
        if orphan is root:
            continue
        is_copy = orphan.placement.relation is Relation.COPY
        if is_copy and (original := instead.get(orphan.placement.parent)):
            placed = Placement(story, Relation.COPY, original, because=because)
        else:
            placed = Placement(story, Relation.UPDATE, root.item.id, because=because)
            if is_copy:
                instead[orphan.placement.parent] = orphan.item.id
        placements[orphan.item.id] = placed
    placements = {t.item.id: replace(t.placement, story=story) for t in tellings} | placements
    if _is_root(root) and root.placement.story == story:
        placements[root.item.id] = root.placement
    return {t.item.id: new for t in tellings if (new := placements[t.item.id]) != t.placement}


def _moved(tellings: Iterable[Telling], placements: Mapping[str, Placement]) -> list[Telling]:
    """The tellings as they will stand."""
    return [replace(telling, placement=placements.get(telling.item.id, telling.placement)) for telling in tellings]
