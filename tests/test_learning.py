"""What is learnt anew, and that what was learnt before is let go of: background and topics are most of what we hold."""

import gc
import io
import weakref
from pathlib import Path

import make
import pytest
from fakes import FakeEmbedder, background, ordinary

from monitor import app
from monitor.background import Background
from monitor.config import load
from monitor.learning import OWN_LEAST, Learning
from monitor.store import Store


def keep_items(store: Store) -> None:
    """Put down as many as are learnt from."""
    items = [make.item(title=f"Item {n}", link=f"https://harbourwire.example/{n}") for n in range(OWN_LEAST)]
    vectors = FakeEmbedder().embed([item.title for item in items])
    records = [make.record(item=item, vector=vector) for item, vector in zip(items, vectors, strict=True)]
    store.add_feed(make.feed(), make.NOW)
    store.commit_poll(make.polled(), records, FakeEmbedder().id)


async def test_what_was_learnt_first_goes_when_it_is_learnt_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learning(_config: object) -> Learning:
        return Learning(FakeEmbedder(), ordinary, Background(ordinary(), FakeEmbedder.parts))

    monkeypatch.setattr(app, "open_learning", learning)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "troops.toml").write_text('title = "Troops"\ndescription = "Troops are moved."\n')
    (tmp_path / "monitor.toml").write_text('rules = "rules"\n')
    config = load(tmp_path / "monitor.toml", {"STATE_DIRECTORY": str(tmp_path)})
    async with app.open_monitor(config, {}, io.StringIO(), clock=lambda: make.NOW) as monitor:
        first = weakref.ref(monitor.learning.background), weakref.ref(monitor.judge.matcher)
        await monitor.ask(keep_items)
        await monitor.learn_anew()
        gc.collect()
        assert len(monitor.learning.background) == len(background()) + OWN_LEAST
        assert [one() for one in first] == [None, None]
