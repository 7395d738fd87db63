"""The database's migrations, numbered, in order. Imports nothing of ours, and what has once landed here is never edited:
a database of any age must come out the same. Times are ISO 8601 text in UTC with milliseconds, so that they sort.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

migrations = Migrations("monitor")


def names() -> list[str]:
    """The migrations that this program knows, in order."""
    return [migration.name for migration in migrations.pending(Database(memory=True))]


def _run(db: Database, script: str) -> None:
    """Run statements one by one: `executescript` would commit the transaction in which a migration runs."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.conn.execute(statement)
            statement = ""


@migrations()
def m001_spine(db: Database) -> None:
    _run(
        db,
        """
    CREATE TABLE feeds (
        url TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        kind TEXT NOT NULL,
        country TEXT NOT NULL,
        language TEXT NOT NULL,
        site TEXT NOT NULL,
        active INTEGER NOT NULL DEFAULT 1,      -- 0: removed from the list, kept for its items
        added TEXT NOT NULL,
        etag TEXT NOT NULL DEFAULT '',
        last_modified TEXT NOT NULL DEFAULT '',
        body_hash TEXT NOT NULL DEFAULT '',
        first_success TEXT,
        last_success TEXT,
        last_poll TEXT,
        next_poll TEXT,                         -- NULL: at once
        failures REAL NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT ''
    ) STRICT;

    CREATE TABLE stories (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        opened TEXT NOT NULL,
        latest TEXT NOT NULL
    ) STRICT;

    CREATE TABLE items (
        id TEXT PRIMARY KEY,
        feed_url TEXT NOT NULL REFERENCES feeds (url),
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        link TEXT NOT NULL,
        canonical_link TEXT NOT NULL,
        language TEXT NOT NULL,
        published TEXT,
        first_seen TEXT NOT NULL,
        at TEXT NOT NULL,                       -- effective time
        text_hash TEXT NOT NULL,                -- of what was embedded
        story_id TEXT NOT NULL REFERENCES stories (id),
        relation TEXT NOT NULL,
        parent_id TEXT NOT NULL,                -- the item it was joined by, '' for a root
        likeness REAL NOT NULL,
        because TEXT NOT NULL,                  -- why it stands in that story
        verdict TEXT NOT NULL,
        verdict_because TEXT NOT NULL
    ) STRICT;
    CREATE INDEX items_first_seen ON items (first_seen);
    CREATE INDEX items_story ON items (story_id);
    CREATE INDEX items_feed ON items (feed_url);
    CREATE INDEX items_link ON items (canonical_link);

    CREATE TABLE vectors (
        text_hash TEXT NOT NULL,
        model TEXT NOT NULL,                    -- name and revision
        vector BLOB NOT NULL,                   -- float16, little-endian
        used TEXT NOT NULL,                     -- last time it was asked for or made
        PRIMARY KEY (text_hash, model)
    ) STRICT;

    CREATE TABLE matches (                      -- judgements worth keeping: taken, or a near miss
        item_id TEXT NOT NULL REFERENCES items (id),
        topic TEXT NOT NULL,
        score REAL NOT NULL,
        bar REAL NOT NULL,
        outcome TEXT NOT NULL,
        nearest TEXT NOT NULL,
        negative TEXT NOT NULL,
        terms TEXT NOT NULL,                    -- JSON list
        gate TEXT NOT NULL,
        PRIMARY KEY (item_id, topic)
    ) STRICT;

    CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        channel TEXT NOT NULL,
        story_id TEXT NOT NULL REFERENCES stories (id),
        item_id TEXT NOT NULL REFERENCES items (id),
        parent_id TEXT NOT NULL,                -- the root alert of a reply, '' for a root
        matches TEXT NOT NULL,                  -- JSON, as judged
        titles TEXT NOT NULL,                   -- JSON, topic id -> title then
        severity TEXT NOT NULL,
        broadcast INTEGER NOT NULL,
        sources TEXT NOT NULL,                  -- JSON list
        created TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        not_before TEXT,
        sending_at TEXT,
        message TEXT,                           -- JSON, frozen at the first claim
        receipt TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        updated TEXT NOT NULL
    ) STRICT;
    CREATE INDEX outbox_state ON outbox (state, created);
    CREATE INDEX outbox_story ON outbox (story_id);

    CREATE TABLE events (                       -- append only: what became of every alert
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        alert_id TEXT NOT NULL,
        from_state TEXT NOT NULL,
        to_state TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;

    CREATE TABLE facts (                        -- one-line memories, e.g. the model in use
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
    """,
    )


@migrations()
def m002_feeds_as_they_are(db: Database) -> None:
    _run(
        db,
        """
    -- beside the url, never instead of it
    ALTER TABLE feeds ADD COLUMN moved_to TEXT NOT NULL DEFAULT '';
    ALTER TABLE feeds ADD COLUMN full_fetch TEXT;
    ALTER TABLE feeds ADD COLUMN failing_since TEXT;
    -- seconds, these four
    ALTER TABLE feeds ADD COLUMN pause REAL;
    ALTER TABLE feeds ADD COLUMN gap REAL;
    ALTER TABLE feeds ADD COLUMN longest_gap REAL;
    ALTER TABLE feeds ADD COLUMN hint_period REAL;
    ALTER TABLE feeds ADD COLUMN newest TEXT;
    ALTER TABLE feeds ADD COLUMN last_new TEXT;
    ALTER TABLE feeds ADD COLUMN severity TEXT;
    ALTER TABLE feeds ADD COLUMN severity_at TEXT;
    -- JSON lists
    ALTER TABLE feeds ADD COLUMN skip_hours TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE feeds ADD COLUMN skip_days TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE feeds ADD COLUMN hub TEXT NOT NULL DEFAULT '';
    ALTER TABLE feeds ADD COLUMN hub_topic TEXT NOT NULL DEFAULT '';
    ALTER TABLE feeds ADD COLUMN last_gap TEXT;
    ALTER TABLE feeds ADD COLUMN released INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX feeds_due ON feeds (coalesce(next_poll, '')) WHERE active = 1;

    ALTER TABLE items ADD COLUMN published_raw TEXT NOT NULL DEFAULT '';
    ALTER TABLE items ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
    -- of what the publisher wrote; '' before this migration
    ALTER TABLE items ADD COLUMN content_hash TEXT NOT NULL DEFAULT '';
    DROP INDEX items_feed;
    CREATE INDEX items_feed ON items (feed_url, at);
    CREATE INDEX items_held ON items (feed_url) WHERE verdict = 'held';

    CREATE TABLE identities (                   -- other names under which a feed may bring an item again
        key TEXT PRIMARY KEY,
        item_id TEXT NOT NULL REFERENCES items (id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE revisions (                    -- what an item said before its publisher changed it
        item_id TEXT NOT NULL REFERENCES items (id),
        revision INTEGER NOT NULL,
        until TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (item_id, revision)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE ailments (
        feed_url TEXT NOT NULL,                 -- '' is our own network
        condition TEXT NOT NULL,
        because TEXT NOT NULL,
        since TEXT NOT NULL,
        told TEXT,
        absent_since TEXT,
        PRIMARY KEY (feed_url, condition)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE subscriptions (                -- WebSub
        feed_url TEXT PRIMARY KEY REFERENCES feeds (url),
        hub TEXT NOT NULL,
        topic TEXT NOT NULL,
        state TEXT NOT NULL,
        since TEXT NOT NULL,
        tries INTEGER NOT NULL,
        expires TEXT,
        reason TEXT NOT NULL,
        pushes INTEGER NOT NULL DEFAULT 0,      -- polls with news that a push had announced
        unannounced INTEGER NOT NULL DEFAULT 0, -- and those that none had
        pushed TEXT                             -- when a push last made the feed due
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outbox_2 (                     -- a notice to ops tells no item and no story
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        channel TEXT NOT NULL,
        story_id TEXT REFERENCES stories (id),
        item_id TEXT REFERENCES items (id),
        parent_id TEXT NOT NULL,
        matches TEXT NOT NULL,
        titles TEXT NOT NULL,
        severity TEXT NOT NULL,
        broadcast INTEGER NOT NULL,
        sources TEXT NOT NULL,
        created TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        not_before TEXT,
        sending_at TEXT,
        message TEXT,
        receipt TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        updated TEXT NOT NULL,
        formerly TEXT NOT NULL DEFAULT '',      -- an edit: the title before it
        text TEXT NOT NULL DEFAULT ''           -- a notice: what it says
    ) STRICT;
    INSERT INTO outbox_2 SELECT *, '', '' FROM outbox;
    DROP TABLE outbox;
    ALTER TABLE outbox_2 RENAME TO outbox;
    CREATE INDEX outbox_state ON outbox (state, created);
    CREATE INDEX outbox_story ON outbox (story_id);
    CREATE INDEX outbox_item ON outbox (item_id);
    """,
    )


@migrations()
def m003_why(db: Database) -> None:
    _run(
        db,
        """
    -- JSON list: what each term was found as
    ALTER TABLE matches ADD COLUMN words TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE matches ADD COLUMN unit TEXT NOT NULL DEFAULT '';
    ALTER TABLE matches ADD COLUMN opinion TEXT NOT NULL DEFAULT '';

    CREATE TABLE opinions (                     -- what a second opinion was paid for once
        key TEXT PRIMARY KEY,                   -- of judge, topic and item's words
        relevant INTEGER NOT NULL,
        confidence REAL NOT NULL,
        because TEXT NOT NULL,
        made_by TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    )


@migrations()
def m004_telling(db: Database) -> None:
    _run(
        db,
        """
    -- why a row is held; kept when it is not any more
    ALTER TABLE outbox ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    -- JSON, what it was held for
    ALTER TABLE outbox ADD COLUMN corroboration TEXT NOT NULL DEFAULT '';
    -- JSON list, the story's independent sources
    ALTER TABLE outbox ADD COLUMN independent TEXT NOT NULL DEFAULT '[]';
    -- 1: it tells a jump in sources, and which, in JSON
    ALTER TABLE outbox ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN escalation TEXT NOT NULL DEFAULT '';
    -- the row whose message tells this one
    ALTER TABLE outbox ADD COLUMN carrier_id TEXT NOT NULL DEFAULT '';
    CREATE INDEX outbox_thread ON outbox (parent_id, sending_at) WHERE parent_id <> '';
    CREATE INDEX outbox_carrier ON outbox (carrier_id) WHERE carrier_id <> '';
    """,
    )


@migrations()
def m005_rulings(db: Database) -> None:
    _run(
        db,
        """
    CREATE TABLE rulings (                      -- append only: what people decided about stories
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,                   -- JSON: story, stories, items, and where these stood before
        author TEXT NOT NULL
    ) STRICT;

    -- 1: a person put it in its story
    ALTER TABLE items ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX stories_latest ON stories (latest);
    """,
    )


@migrations()
def m006_gate(db: Database) -> None:
    _run(
        db,
        """
    -- what a row is held by, in words
    ALTER TABLE outbox ADD COLUMN held_because TEXT NOT NULL DEFAULT '';
    -- a digest: which kind, and since when it tells
    ALTER TABLE outbox ADD COLUMN occasion TEXT NOT NULL DEFAULT '';
    ALTER TABLE outbox ADD COLUMN since TEXT;
    -- whose turn it is: the most severe, then the oldest; edits after all
    CREATE INDEX outbox_turn ON outbox (
        state, CASE WHEN kind = 'edit' THEN 4 WHEN severity = 'critical' THEN 0 WHEN severity = 'high' THEN 1
            WHEN severity = 'notice' THEN 2 ELSE 3 END, created
    );
    CREATE INDEX outbox_held ON outbox (state, reason, not_before);
    CREATE INDEX outbox_paused ON outbox (state, not_before);
    -- what a channel was told today
    CREATE INDEX outbox_told ON outbox (channel, kind, sending_at) WHERE sending_at IS NOT NULL;

    CREATE TABLE silences (
        id INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,                    -- '' in these four: any
        story TEXT NOT NULL,
        source TEXT NOT NULL,
        channel TEXT NOT NULL,
        words TEXT NOT NULL,                    -- JSON list
        until TEXT NOT NULL,
        author TEXT NOT NULL,
        comment TEXT NOT NULL,
        created TEXT NOT NULL,
        removed TEXT
    ) STRICT;
    """,
    )


@migrations()
def m007_edits(db: Database) -> None:
    _run(
        db,
        """
    -- how far its message was degraded
    ALTER TABLE outbox ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;
    -- how often it was sent again though the channel could not be read
    ALTER TABLE outbox ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX outbox_tried ON outbox (sending_at) WHERE sending_at IS NOT NULL;

    CREATE TABLE blockages (                    -- what a person must mend before anything goes to a channel
        channel TEXT PRIMARY KEY,               -- '' is all of them
        because TEXT NOT NULL,
        since TEXT NOT NULL,
        next_probe TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- when it fell silent; NULL while it takes items. What is old is not to be edited all at once
    ALTER TABLE stories ADD COLUMN closed TEXT;
    UPDATE stories SET closed = latest
        WHERE latest < (SELECT strftime('%Y-%m-%dT%H:%M:%S', max(latest), '-3 days') FROM stories);
    """,
    )


@migrations()
def m008_sweep(db: Database) -> None:
    _run(
        db,
        """
    CREATE TABLE adopted (                      -- what a channel shows to be told, and we did not know of
        channel TEXT NOT NULL,
        told TEXT NOT NULL,                     -- an alert, or an item
        delivery_id TEXT NOT NULL,              -- the message that tells it
        own INTEGER NOT NULL,                   -- 1: it is what this message was made for; 0: it is told beside
        kind TEXT NOT NULL,                     -- of that message
        receipt TEXT NOT NULL,
        thread TEXT NOT NULL,
        text TEXT NOT NULL,                     -- its beginning
        at TEXT NOT NULL,                       -- when it was posted
        taken_by TEXT NOT NULL DEFAULT '',      -- the row of the outbox that it stands for by now
        PRIMARY KEY (channel, told, delivery_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX adopted_delivery ON adopted (delivery_id);

    CREATE TABLE feedback (                     -- what people's reactions say of alerts
        alert_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        user TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (alert_id, kind, user)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_channel ON outbox (channel, updated);
    """,
    )


@migrations()
def m009_buttons(db: Database) -> None:
    _run(
        db,
        """
    -- 1: said by a button, so that no sweep takes it back because no reaction says it
    ALTER TABLE feedback ADD COLUMN pressed INTEGER NOT NULL DEFAULT 0;
    """,
    )


@migrations()
def m010_retention(db: Database) -> None:
    _run(
        db,
        """
    CREATE TABLE let_go (                       -- names of items that are not kept any more: they are not new if offered again
        name TEXT PRIMARY KEY,
        feed INTEGER NOT NULL,                  -- a number made of its address
        offered TEXT NOT NULL                   -- when its feed last had it, or it was let go
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX let_go_offered ON let_go (offered);
    -- without it, deleting an item would read all names
    CREATE INDEX identities_item ON identities (item_id);
    CREATE INDEX vectors_used ON vectors (used);
    """,
    )


@migrations()
def m011_events(db: Database) -> None:
    _run(
        db,
        """
    -- without it, what became of one alert would be looked for among all
    CREATE INDEX events_alert ON events (alert_id, to_state, at);
    """,
    )


@migrations()
def m012_tallies(db: Database) -> None:
    _run(
        db,
        """
    CREATE TABLE tallies (                      -- how many rows there are: to count them, all would be read
        what TEXT NOT NULL,                     -- 'feed', 'verdict': items; 'story'; 'outbox': by state, without edits
        key TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (what, key)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tallies SELECT 'feed', feed_url, count(*) FROM items GROUP BY feed_url;
    INSERT INTO tallies SELECT 'verdict', verdict, count(*) FROM items GROUP BY verdict;
    INSERT INTO tallies SELECT 'story', '', count(*) FROM stories;
    INSERT INTO tallies SELECT 'outbox', state, count(*) FROM outbox WHERE kind <> 'edit' GROUP BY state;

    CREATE TRIGGER items_added AFTER INSERT ON items BEGIN
        INSERT INTO tallies VALUES ('feed', new.feed_url, 1), ('verdict', new.verdict, 1)
            ON CONFLICT (what, key) DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER items_removed AFTER DELETE ON items BEGIN
        UPDATE tallies SET n = n - 1 WHERE what = 'feed' AND key = old.feed_url;
        UPDATE tallies SET n = n - 1 WHERE what = 'verdict' AND key = old.verdict;
    END;
    CREATE TRIGGER items_judged AFTER UPDATE OF verdict ON items WHEN new.verdict <> old.verdict BEGIN
        UPDATE tallies SET n = n - 1 WHERE what = 'verdict' AND key = old.verdict;
        INSERT INTO tallies VALUES ('verdict', new.verdict, 1) ON CONFLICT (what, key) DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER stories_added AFTER INSERT ON stories BEGIN
        UPDATE tallies SET n = n + 1 WHERE what = 'story';
    END;
    CREATE TRIGGER stories_removed AFTER DELETE ON stories BEGIN
        UPDATE tallies SET n = n - 1 WHERE what = 'story';
    END;
    CREATE TRIGGER outbox_added AFTER INSERT ON outbox WHEN new.kind <> 'edit' BEGIN
        INSERT INTO tallies VALUES ('outbox', new.state, 1) ON CONFLICT (what, key) DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER outbox_removed AFTER DELETE ON outbox WHEN old.kind <> 'edit' BEGIN
        UPDATE tallies SET n = n - 1 WHERE what = 'outbox' AND key = old.state;
    END;
    CREATE TRIGGER outbox_moved AFTER UPDATE OF state, kind ON outbox BEGIN
        UPDATE tallies SET n = n - 1 WHERE what = 'outbox' AND key = old.state AND old.kind <> 'edit';
        INSERT INTO tallies SELECT 'outbox', new.state, 1 WHERE new.kind <> 'edit'
            ON CONFLICT (what, key) DO UPDATE SET n = n + 1;
    END;
    """,
    )
