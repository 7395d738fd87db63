BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'monitor','m001_spine','2026-11-22 18:20:25.484026+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'monitor','m002_feeds_as_they_are','2026-11-22 18:20:25.739981+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'monitor','m003_why','2026-11-22 18:20:25.765441+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'monitor','m004_telling','2026-11-22 18:20:25.779857+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'monitor','m005_rulings','2026-11-22 18:20:25.797281+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'monitor','m006_gate','2026-11-22 18:20:25.819503+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'monitor','m007_edits','2026-11-22 18:20:25.842743+00:00');
INSERT INTO "_sqlite_migrations" VALUES(8,'monitor','m008_sweep','2026-11-22 18:20:25.861369+00:00');
INSERT INTO "_sqlite_migrations" VALUES(9,'monitor','m009_buttons','2026-11-22 18:20:25.885235+00:00');
INSERT INTO "_sqlite_migrations" VALUES(10,'monitor','m010_retention','2026-11-22 18:20:25.895153+00:00');
INSERT INTO "_sqlite_migrations" VALUES(11,'monitor','m011_events','2026-11-22 18:20:25.916574+00:00');
INSERT INTO "_sqlite_migrations" VALUES(12,'monitor','m012_tallies','2026-11-22 18:20:25.945427+00:00');
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
INSERT INTO "adopted" VALUES('C0NEWS','told','delivery',1,'root','1730212200.000100','','Troops seen','2024-10-29T14:30:00.000+00:00','');
CREATE TABLE ailments (
        feed_url TEXT NOT NULL,                 -- '' is our own network
        condition TEXT NOT NULL,
        because TEXT NOT NULL,
        since TEXT NOT NULL,
        told TEXT,
        absent_since TEXT,
        PRIMARY KEY (feed_url, condition)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "ailments" VALUES('https://harbourwire.example/feed.xml','failing','timeout for 2 days','2024-10-29T14:30:00.000+00:00','2024-10-29T14:30:00.000+00:00',NULL);
CREATE TABLE blockages (                    -- what a person must mend before anything goes to a channel
        channel TEXT PRIMARY KEY,               -- '' is all of them
        because TEXT NOT NULL,
        since TEXT NOT NULL,
        next_probe TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "blockages" VALUES('C3','not_in_channel','2024-10-29T14:30:00.000+00:00','2024-10-29T14:30:00.000+00:00');
CREATE TABLE events (                       -- append only: what became of every alert
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        alert_id TEXT NOT NULL,
        from_state TEXT NOT NULL,
        to_state TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(7,'2024-10-29T14:20:00.000+00:00','alert-sent','','queued','');
CREATE TABLE facts (                        -- one-line memories, e.g. the model in use
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
INSERT INTO "facts" VALUES('model','bag@1');
CREATE TABLE feedback (                     -- what people's reactions say of alerts
        alert_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        user TEXT NOT NULL,
        at TEXT NOT NULL, pressed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (alert_id, kind, user)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "feedback" VALUES('alert-sent','wrong','U0ANNA','2024-10-29T14:30:00.000+00:00',0);
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
    , moved_to TEXT NOT NULL DEFAULT '', full_fetch TEXT, failing_since TEXT, pause REAL, gap REAL, longest_gap REAL, hint_period REAL, newest TEXT, last_new TEXT, severity TEXT, severity_at TEXT, skip_hours TEXT NOT NULL DEFAULT '[]', skip_days TEXT NOT NULL DEFAULT '[]', hub TEXT NOT NULL DEFAULT '', hub_topic TEXT NOT NULL DEFAULT '', last_gap TEXT, released INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "feeds" VALUES('https://harbourwire.example/feed.xml','Wire','wire','','en','',1,'2024-10-29T14:20:00.000+00:00','"1"','','ab','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00',0.5,'timeout','',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]','[]','','',NULL,0);
INSERT INTO "feeds" VALUES('https://gazette.example/rss','Wire','wire','','en','',0,'2024-10-29T14:20:00.000+00:00','"1"','','ab',NULL,NULL,NULL,NULL,0.5,'timeout','',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]','[]','','',NULL,0);
CREATE TABLE identities (                   -- other names under which a feed may bring an item again
        key TEXT PRIMARY KEY,
        item_id TEXT NOT NULL REFERENCES items (id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "identities" VALUES('another name','c82a4e4bed617ff0');
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
    , published_raw TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0, content_hash TEXT NOT NULL DEFAULT '', by_hand INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "items" VALUES('c82a4e4bed617ff0','https://harbourwire.example/feed.xml','Troops seen near Kursk','Seoul told lawmakers.','https://outlet.example/0fbc1e1c','https://outlet.example/0fbc1e1c','en','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','26ec5d664dab6a41','c82a4e4bed617ff0','root','',0.25,'b','alert','vb','',0,'',0);
INSERT INTO "items" VALUES('1ffc0e3b2ba55b88','https://harbourwire.example/feed.xml','Weather','Rain.','https://outlet.example/a0bba638','https://outlet.example/a0bba638','en','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00','ed7a999c2f70363c','1ffc0e3b2ba55b88','root','',0.25,'b','alert','vb','',0,'',0);
CREATE TABLE let_go (                       -- names of items that are not kept any more: they are not new if offered again
        name TEXT PRIMARY KEY,
        feed INTEGER NOT NULL,                  -- a number made of its address
        offered TEXT NOT NULL                   -- when its feed last had it, or it was let go
    ) STRICT, WITHOUT ROWID;
INSERT INTO "let_go" VALUES('0123456789abcdef',1234567,'2024-10-29T14:30:00.000+00:00');
CREATE TABLE matches (                      -- judgements worth keeping: taken, or a near miss
        item_id TEXT NOT NULL REFERENCES items (id),
        topic TEXT NOT NULL,
        score REAL NOT NULL,
        bar REAL NOT NULL,
        outcome TEXT NOT NULL,
        nearest TEXT NOT NULL,
        negative TEXT NOT NULL,
        terms TEXT NOT NULL,                    -- JSON list
        gate TEXT NOT NULL, words TEXT NOT NULL DEFAULT '[]', unit TEXT NOT NULL DEFAULT '', opinion TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (item_id, topic)
    ) STRICT;
INSERT INTO "matches" VALUES('c82a4e4bed617ff0','t',4.5,3.5,'matched','n','','["a"]','','[]','','');
INSERT INTO "matches" VALUES('1ffc0e3b2ba55b88','t',4.5,3.5,'matched','n','','["a"]','','[]','','');
CREATE TABLE opinions (                     -- what a second opinion was paid for once
        key TEXT PRIMARY KEY,                   -- of judge, topic and item's words
        relevant INTEGER NOT NULL,
        confidence REAL NOT NULL,
        because TEXT NOT NULL,
        made_by TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "opinions" VALUES('key',1,0.9,'it is','judge','2024-10-29T14:30:00.000+00:00');
CREATE TABLE "outbox" (                     -- a notice to ops tells no item and no story
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
    , reason TEXT NOT NULL DEFAULT '', corroboration TEXT NOT NULL DEFAULT '', independent TEXT NOT NULL DEFAULT '[]', escalated INTEGER NOT NULL DEFAULT 0, escalation TEXT NOT NULL DEFAULT '', carrier_id TEXT NOT NULL DEFAULT '', held_because TEXT NOT NULL DEFAULT '', occasion TEXT NOT NULL DEFAULT '', since TEXT, rung INTEGER NOT NULL DEFAULT 0, repeats INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "outbox" VALUES('alert-queued','root','C0','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','queued',0,NULL,'2024-10-29T14:20:00.000+00:00',NULL,'ts0','error 0','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
INSERT INTO "outbox" VALUES('alert-sending','root','C1','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','sending',1,NULL,'2024-10-29T14:20:00.000+00:00','{"text": "t", "blocks": [], "terminal": "t"}','ts1','error 1','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
INSERT INTO "outbox" VALUES('alert-unknown','root','C2','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','unknown',2,NULL,'2024-10-29T14:20:00.000+00:00','{"text": "t", "blocks": [], "terminal": "t"}','ts2','error 2','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
INSERT INTO "outbox" VALUES('alert-sent','root','C3','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','sent',3,NULL,'2024-10-29T14:20:00.000+00:00','{"text": "t", "blocks": [], "terminal": "t"}','ts3','error 3','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
INSERT INTO "outbox" VALUES('alert-blocked','root','C4','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','blocked',4,NULL,'2024-10-29T14:20:00.000+00:00','{"text": "t", "blocks": [], "terminal": "t"}','ts4','error 4','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
INSERT INTO "outbox" VALUES('alert-dead','root','C5','1ffc0e3b2ba55b88','1ffc0e3b2ba55b88','','[{"topic": "t", "score": 4.1, "bar": 3.3, "outcome": "matched", "nearest": "North Korean soldiers arrive in Russia for training", "negative": "", "terms": ["troops"], "gate": "", "words": [], "unit": "", "opinion": ""}]','{"t": "T"}','high',0,'["Wire"]','2024-10-29T14:20:00.000+00:00','dead',5,NULL,'2024-10-29T14:20:00.000+00:00','{"text": "t", "blocks": [], "terminal": "t"}','ts5','error 5','2024-10-29T14:20:00.000+00:00','','','','','[]',0,'','','','',NULL,0,0);
CREATE TABLE revisions (                    -- what an item said before its publisher changed it
        item_id TEXT NOT NULL REFERENCES items (id),
        revision INTEGER NOT NULL,
        until TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (item_id, revision)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "revisions" VALUES('c82a4e4bed617ff0',0,'2024-10-29T14:30:00.000+00:00','a title of before','a text of before');
CREATE TABLE rulings (                      -- append only: what people decided about stories
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,                   -- JSON: story, stories, items, and where these stood before
        author TEXT NOT NULL
    ) STRICT;
INSERT INTO "rulings" VALUES(1,'2024-10-29T14:30:00.000+00:00','split','{"story": "c82a4e4bed617ff0", "stories": ["c82a4e4bed617ff0"], "items": ["c82a4e4bed617ff0"], "before": {}}','anna');
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
INSERT INTO "silences" VALUES(1,'t','','','C0NEWS','[]','2024-10-29T14:30:00.000+00:00','anna','enough','2024-10-29T14:30:00.000+00:00',NULL);
CREATE TABLE stories (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        opened TEXT NOT NULL,
        latest TEXT NOT NULL
    , closed TEXT) STRICT;
INSERT INTO "stories" VALUES('c82a4e4bed617ff0','Troops seen near Kursk','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00',NULL);
INSERT INTO "stories" VALUES('1ffc0e3b2ba55b88','Weather','2024-10-29T14:20:00.000+00:00','2024-10-29T14:20:00.000+00:00',NULL);
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
INSERT INTO "subscriptions" VALUES('https://harbourwire.example/feed.xml','https://hub.example/','https://harbourwire.example/feed.xml','active','2024-10-29T14:30:00.000+00:00',0,'2024-10-29T14:30:00.000+00:00','',3,1,'2024-10-29T14:30:00.000+00:00');
CREATE TABLE tallies (                      -- how many rows there are: to count them, all would be read
        what TEXT NOT NULL,                     -- 'feed', 'verdict': items; 'story'; 'outbox': by state, without edits
        key TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (what, key)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "tallies" VALUES('feed','https://harbourwire.example/feed.xml',2);
INSERT INTO "tallies" VALUES('outbox','blocked',1);
INSERT INTO "tallies" VALUES('outbox','dead',1);
INSERT INTO "tallies" VALUES('outbox','queued',1);
INSERT INTO "tallies" VALUES('outbox','sending',1);
INSERT INTO "tallies" VALUES('outbox','sent',1);
INSERT INTO "tallies" VALUES('outbox','unknown',1);
INSERT INTO "tallies" VALUES('story','',2);
INSERT INTO "tallies" VALUES('verdict','alert',2);
CREATE TABLE vectors (
        text_hash TEXT NOT NULL,
        model TEXT NOT NULL,                    -- name and revision
        vector BLOB NOT NULL,                   -- float16, little-endian
        used TEXT NOT NULL,                     -- last time it was asked for or made
        PRIMARY KEY (text_hash, model)
    ) STRICT;
INSERT INTO "vectors" VALUES('aa','bag@1',X'003C','2024-10-29T14:20:00.000+00:00');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX items_first_seen ON items (first_seen);
CREATE INDEX items_story ON items (story_id);
CREATE INDEX items_link ON items (canonical_link);
CREATE INDEX feeds_due ON feeds (coalesce(next_poll, '')) WHERE active = 1;
CREATE INDEX items_feed ON items (feed_url, at);
CREATE INDEX items_held ON items (feed_url) WHERE verdict = 'held';
CREATE INDEX outbox_state ON outbox (state, created);
CREATE INDEX outbox_story ON outbox (story_id);
CREATE INDEX outbox_item ON outbox (item_id);
CREATE INDEX outbox_thread ON outbox (parent_id, sending_at) WHERE parent_id <> '';
CREATE INDEX outbox_carrier ON outbox (carrier_id) WHERE carrier_id <> '';
CREATE INDEX stories_latest ON stories (latest);
CREATE INDEX outbox_turn ON outbox (
        state, CASE WHEN kind = 'edit' THEN 4 WHEN severity = 'critical' THEN 0 WHEN severity = 'high' THEN 1
            WHEN severity = 'notice' THEN 2 ELSE 3 END, created
    );
CREATE INDEX outbox_held ON outbox (state, reason, not_before);
CREATE INDEX outbox_paused ON outbox (state, not_before);
CREATE INDEX outbox_told ON outbox (channel, kind, sending_at) WHERE sending_at IS NOT NULL;
CREATE INDEX outbox_tried ON outbox (sending_at) WHERE sending_at IS NOT NULL;
CREATE INDEX adopted_delivery ON adopted (delivery_id);
CREATE INDEX outbox_channel ON outbox (channel, updated);
CREATE INDEX let_go_offered ON let_go (offered);
CREATE INDEX identities_item ON identities (item_id);
CREATE INDEX vectors_used ON vectors (used);
CREATE INDEX events_alert ON events (alert_id, to_state, at);
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
COMMIT;
