"""The tables of the pairs in the workspace's database."""

from __future__ import annotations

MIGRATIONS = [
    (
        "0001-pairs",
        """
        CREATE TABLE pairs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, so that undo can bring a pair back under its own
            dataset TEXT NOT NULL,
            key BLOB NOT NULL,       -- the 32 bytes of Pair.key
            status TEXT NOT NULL,
            tags TEXT NOT NULL,      -- JSON: ["a", "b"]
            note TEXT NOT NULL,
            source TEXT NOT NULL,
            messages TEXT NOT NULL,  -- JSON: [{"role": "user", "content": "..."}]
            completion TEXT,
            chosen TEXT,
            rejected TEXT
        );
        CREATE UNIQUE INDEX pairs_by_key ON pairs (dataset, key);
        CREATE INDEX pairs_by_dataset ON pairs (dataset);
        CREATE INDEX pairs_by_status ON pairs (dataset, status);

        -- What the full-text index holds of a pair.
        CREATE VIEW pair_texts AS
            SELECT
                id,
                (SELECT group_concat(json_extract(value, '$.content'), char(10)) FROM json_each(messages)) AS prompt,
                coalesce(completion, chosen || char(10) || rejected) AS answer,
                note
            FROM pairs;
        CREATE VIRTUAL TABLE pair_search USING fts5 (
            prompt, answer, note,
            content = 'pair_texts', content_rowid = 'id', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
        );
        CREATE TRIGGER pairs_indexed AFTER INSERT ON pairs BEGIN
            INSERT INTO pair_search (rowid, prompt, answer, note) SELECT * FROM pair_texts WHERE id = new.id;
        END;
        CREATE TRIGGER pairs_unindexed BEFORE DELETE ON pairs BEGIN
            INSERT INTO pair_search (pair_search, rowid, prompt, answer, note)
                SELECT 'delete', * FROM pair_texts WHERE id = old.id;
        END;
        CREATE TRIGGER pairs_before_edit BEFORE UPDATE OF messages, completion, chosen, rejected, note ON pairs BEGIN
            INSERT INTO pair_search (pair_search, rowid, prompt, answer, note)
                SELECT 'delete', * FROM pair_texts WHERE id = old.id;
        END;
        CREATE TRIGGER pairs_after_edit AFTER UPDATE OF messages, completion, chosen, rejected, note ON pairs BEGIN
            INSERT INTO pair_search (rowid, prompt, answer, note) SELECT * FROM pair_texts WHERE id = new.id;
        END;

        -- The journal: every change is one step; see journal.py.
        CREATE TABLE pair_steps (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            label TEXT NOT NULL,
            undone INTEGER NOT NULL DEFAULT 0,
            at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
        );
        CREATE TABLE pair_changes (
            step INTEGER NOT NULL,
            pair INTEGER NOT NULL,
            -- The pair's other state: before the step while it is done, after it while it is undone. Only what the
            -- kind of the step changes is kept, the rest is NULL.
            dataset TEXT,
            key BLOB,
            status TEXT,
            tags TEXT,
            note TEXT,
            source TEXT,
            messages TEXT,
            completion TEXT,
            chosen TEXT,
            rejected TEXT
        );
        CREATE UNIQUE INDEX pair_changes_by_step ON pair_changes (step, pair);

        CREATE TABLE pair_revision (number INTEGER NOT NULL);
        INSERT INTO pair_revision (number) VALUES (0);
        """,
    ),
    (
        "0002-curation",
        """
        -- What the checks found. It can be found again, so it is not in the journal.
        CREATE TABLE pair_flags (
            pair INTEGER NOT NULL,
            flag TEXT NOT NULL,      -- one of query.FLAGS
            detail TEXT NOT NULL,    -- a short text or JSON, for people and dialogs
            "check" TEXT NOT NULL,   -- the check that found it
            PRIMARY KEY (pair, flag)
        ) WITHOUT ROWID;
        CREATE INDEX pair_flags_by_flag ON pair_flags (flag, pair);

        -- The length of a pair as the model sees it; of another content where the key is another.
        CREATE TABLE pair_lengths (
            pair INTEGER PRIMARY KEY,
            key BLOB NOT NULL,       -- pairs.key when it was counted
            tokens INTEGER NOT NULL
        );
        CREATE INDEX pair_lengths_by_tokens ON pair_lengths (tokens);

        CREATE TRIGGER pairs_forgotten AFTER DELETE ON pairs BEGIN
            DELETE FROM pair_flags WHERE pair = old.id;
            DELETE FROM pair_lengths WHERE pair = old.id;
        END;

        CREATE INDEX pair_changes_by_pair ON pair_changes (pair);
        """,
    ),
    (
        # A million pairs: what they are filtered and sorted by lies apart from their texts, so that changing the status
        # of all writes 100 bytes a pair and not 1,000. The texts of a deleted pair, and what the checks found of it,
        # stay where they are for as long as undo can bring it back. The journal keeps ranges of ids in place of a row
        # each.
        "0003-size",
        """
        DROP TRIGGER pairs_indexed;
        DROP TRIGGER pairs_unindexed;
        DROP TRIGGER pairs_before_edit;
        DROP TRIGGER pairs_after_edit;
        DROP TRIGGER pairs_forgotten;
        DROP VIEW pair_texts;
        DROP INDEX pairs_by_key;
        DROP INDEX pairs_by_dataset;
        DROP INDEX pairs_by_status;
        ALTER TABLE pairs RENAME TO pairs_before;

        CREATE TABLE pairs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, so that undo can bring a pair back under its own
            dataset TEXT NOT NULL,
            key BLOB NOT NULL,            -- the 32 bytes of Pair.key
            status TEXT NOT NULL,
            tags TEXT NOT NULL,           -- JSON: ["a", "b"]
            source TEXT NOT NULL,         -- without its line
            line INTEGER,                 -- 17 of the source file.jsonl:17
            preference INTEGER NOT NULL,  -- 1: chosen and rejected in place of a completion
            chars INTEGER NOT NULL,       -- characters of all its messages and answers
            edited INTEGER NOT NULL       -- how many times its content was replaced
        );
        CREATE TABLE pair_contents (      -- of the pairs, and of those that are out
            id INTEGER PRIMARY KEY,
            messages TEXT NOT NULL,       -- JSON: [{"role": "user", "content": "..."}]
            completion TEXT,
            chosen TEXT,
            rejected TEXT,
            note TEXT NOT NULL
        );
        CREATE VIEW pair_rows AS          -- what a Pair is made of
            SELECT
                pairs.id, dataset, key, status, tags, note, source || coalesce(':' || line, '') AS source,
                messages, completion, chosen, rejected, edited
            FROM pairs JOIN pair_contents ON pair_contents.id = pairs.id;
        CREATE VIEW pair_texts AS         -- what the full-text index holds of a pair
            SELECT
                id,
                (SELECT group_concat(json_extract(value, '$.content'), char(10)) FROM json_each(messages)) AS prompt,
                coalesce(completion, chosen || char(10) || rejected) AS answer,
                note
            FROM pair_contents;

        -- The pairs, and with them for a moment those that the journal holds.
        CREATE TEMP TABLE ids_out AS
            SELECT pair AS id FROM pair_changes JOIN pair_steps AS s ON s.id = step
            WHERE (s.kind = 'add' AND s.undone) OR (s.kind = 'delete' AND NOT s.undone);
        INSERT INTO pairs_before (id, dataset, key, status, tags, note, source, messages, completion, chosen, rejected)
            SELECT pair, dataset, key, status, tags, note, source, messages, completion, chosen, rejected
            FROM pair_changes JOIN pair_steps AS s ON s.id = step
            WHERE (s.kind = 'add' AND s.undone) OR (s.kind = 'delete' AND NOT s.undone);
        INSERT INTO pair_contents SELECT id, messages, completion, chosen, rejected, note FROM pairs_before ORDER BY id;
        INSERT INTO pairs
            SELECT
                id, dataset, key, status, tags,
                iif(has_line, substr(head, 1, length(head) - 1), source),
                iif(has_line, CAST(substr(source, length(head) + 1) AS INTEGER), NULL),
                completion IS NULL,
                (SELECT sum(length(json_extract(value, '$.content'))) FROM json_each(messages))
                    + length(coalesce(completion, chosen || rejected)),
                (SELECT count(*) FROM pair_changes AS c JOIN pair_steps AS s ON s.id = c.step
                    WHERE c.pair = split.id AND s.kind = 'content' AND NOT s.undone)
            FROM (
                SELECT *, length(head) > 1 AND substr(head, -1) = ':'
                    AND CAST(CAST(substr(source, length(head) + 1) AS INTEGER) AS TEXT)
                        = substr(source, length(head) + 1) AS has_line
                FROM (SELECT *, rtrim(source, '0123456789') AS head FROM pairs_before)
            ) AS split
            ORDER BY id;
        CREATE TABLE pairs_out AS         -- deleted, or added and undone: undo or redo brings them back
            SELECT * FROM pairs WHERE id IN (SELECT id FROM temp.ids_out);
        CREATE UNIQUE INDEX pairs_out_by_id ON pairs_out (id);
        DELETE FROM pairs WHERE id IN (SELECT id FROM temp.ids_out);
        INSERT INTO pair_search (rowid, prompt, answer, note)
            SELECT * FROM pair_texts WHERE id IN (SELECT id FROM temp.ids_out);
        DELETE FROM sqlite_sequence WHERE name = 'pairs';
        INSERT INTO sqlite_sequence (name, seq) SELECT 'pairs', seq FROM sqlite_sequence WHERE name = 'pairs_before';
        DROP TABLE pairs_before;
        DROP TABLE temp.ids_out;

        CREATE UNIQUE INDEX pairs_by_key ON pairs (dataset, key);
        CREATE INDEX pairs_by_dataset ON pairs (dataset);
        CREATE INDEX pairs_by_status ON pairs (dataset, status);
        CREATE INDEX pairs_by_source ON pairs (dataset, source);
        CREATE INDEX pairs_by_chars ON pairs (dataset, chars);
        CREATE INDEX pairs_edited ON pairs (dataset) WHERE edited;
        CREATE INDEX pairs_kind ON pairs (dataset) WHERE preference;

        -- Tags, to look pairs up by.
        CREATE TABLE pair_tags (
            dataset TEXT NOT NULL,
            tag TEXT NOT NULL,
            pair INTEGER NOT NULL,
            PRIMARY KEY (dataset, tag, pair)
        ) WITHOUT ROWID;
        INSERT INTO pair_tags SELECT DISTINCT dataset, value, pairs.id FROM pairs, json_each(tags) WHERE tags <> '[]';
        CREATE TRIGGER pairs_tagged AFTER INSERT ON pairs WHEN new.tags <> '[]' BEGIN
            INSERT OR IGNORE INTO pair_tags SELECT new.dataset, value, new.id FROM json_each(new.tags);
        END;
        CREATE TRIGGER pairs_retagged AFTER UPDATE OF tags ON pairs BEGIN
            DELETE FROM pair_tags WHERE dataset = old.dataset AND pair = old.id
                AND tag IN (SELECT value FROM json_each(old.tags));
            INSERT OR IGNORE INTO pair_tags SELECT new.dataset, value, new.id FROM json_each(new.tags);
        END;
        CREATE TRIGGER pairs_untagged AFTER DELETE ON pairs WHEN old.tags <> '[]' BEGIN
            DELETE FROM pair_tags WHERE dataset = old.dataset AND pair = old.id
                AND tag IN (SELECT value FROM json_each(old.tags));
        END;

        -- Contents that the full-text index does not hold yet, and contents that no undo brings back; see catching_up.
        CREATE TABLE pair_unsearched (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
        CREATE TABLE pair_gone (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);

        CREATE TRIGGER pair_contents_before_edit BEFORE UPDATE ON pair_contents
        WHEN NOT EXISTS (SELECT 1 FROM pair_unsearched WHERE old.id BETWEEN first AND last) BEGIN
            INSERT INTO pair_search (pair_search, rowid, prompt, answer, note)
                SELECT 'delete', * FROM pair_texts WHERE id = old.id;
        END;
        CREATE TRIGGER pair_contents_after_edit AFTER UPDATE ON pair_contents
        WHEN NOT EXISTS (SELECT 1 FROM pair_unsearched WHERE new.id BETWEEN first AND last) BEGIN
            INSERT INTO pair_search (rowid, prompt, answer, note) SELECT * FROM pair_texts WHERE id = new.id;
        END;
        CREATE TRIGGER pair_contents_removed BEFORE DELETE ON pair_contents
        WHEN NOT EXISTS (SELECT 1 FROM pair_unsearched WHERE old.id BETWEEN first AND last) BEGIN
            INSERT INTO pair_search (pair_search, rowid, prompt, answer, note)
                SELECT 'delete', * FROM pair_texts WHERE id = old.id;
        END;
        CREATE TRIGGER pair_contents_counted AFTER UPDATE OF messages, completion, chosen, rejected ON pair_contents
        BEGIN
            UPDATE pairs SET chars = (SELECT sum(length(json_extract(value, '$.content'))) FROM json_each(new.messages))
                + length(coalesce(new.completion, new.chosen || new.rejected)) WHERE id = new.id;
        END;

        -- The journal: a row stands for the pairs from `pair` to `last` (NULL: for `pair` alone), which were alike in
        -- what the step changed. A step that adds or deletes keeps nothing here; see pairs_out.
        ALTER TABLE pair_changes ADD COLUMN last INTEGER;
        ALTER TABLE pair_changes ADD COLUMN edited INTEGER;
        UPDATE pair_changes SET edited = (
            SELECT count(*) FROM pair_changes AS c JOIN pair_steps AS s ON s.id = c.step
            WHERE c.pair = pair_changes.pair AND s.kind = 'content'
                AND s.id < pair_changes.step + (SELECT undone FROM pair_steps WHERE id = pair_changes.step)
        ) WHERE step IN (SELECT id FROM pair_steps WHERE kind = 'content');
        CREATE TEMP TABLE runs AS
            SELECT step, min(pair) AS pair, max(pair) AS last FROM (
                SELECT step, pair, pair - row_number() OVER (PARTITION BY step ORDER BY pair) AS island
                FROM pair_changes WHERE step IN (SELECT id FROM pair_steps WHERE kind IN ('add', 'delete'))
            ) GROUP BY step, island;
        DELETE FROM pair_changes WHERE step IN (SELECT id FROM pair_steps WHERE kind IN ('add', 'delete'));
        INSERT INTO pair_changes (step, pair, last) SELECT step, pair, nullif(last, pair) FROM temp.runs;
        DROP TABLE temp.runs;
        DROP INDEX pair_changes_by_pair;
        CREATE INDEX pair_changes_by_pair ON pair_changes (pair) WHERE last IS NULL;
        CREATE INDEX pair_changes_of_runs ON pair_changes (step) WHERE last IS NOT NULL;
        CREATE INDEX pair_steps_undone ON pair_steps (id) WHERE undone;
        """,
    ),
    (
        "0003-undecided",
        # `undecided`: see UNDECIDED in pair.py. Whoever writes here, nothing is accepted that nobody has judged.
        # A tag of this name that is older means something else: it gets another one, in the journal too.
        """
        UPDATE pairs SET tags = replace(tags, '"undecided"', '"was-undecided"') WHERE instr(tags, '"undecided"');
        UPDATE pairs_out SET tags = replace(tags, '"undecided"', '"was-undecided"') WHERE instr(tags, '"undecided"');
        UPDATE pair_changes SET tags = replace(tags, '"undecided"', '"was-undecided"') WHERE instr(tags, '"undecided"');
        CREATE TRIGGER undecided_is_pending AFTER INSERT ON pairs
        WHEN new.status = 'accepted' AND new.preference AND instr(new.tags, '"undecided"') BEGIN
            UPDATE pairs SET status = 'pending' WHERE id = new.id;
        END;
        CREATE TRIGGER undecided_is_not_accepted BEFORE UPDATE OF status, tags ON pairs
        WHEN new.status = 'accepted' AND new.preference AND instr(new.tags, '"undecided"') BEGIN
            SELECT RAISE(ABORT, 'an undecided pair cannot be accepted: nobody has said which answer is the better one');
        END;
        CREATE TRIGGER undecided_until_judged BEFORE UPDATE OF tags ON pairs
        WHEN new.preference AND (instr(old.tags, '"undecided"') > 0) <> (instr(new.tags, '"undecided"') > 0)
            AND (old.status = 'accepted') = (new.status = 'accepted') BEGIN
            SELECT RAISE(ABORT, 'the tag undecided comes with two samples, and goes when the better one is chosen');
        END;
        """,
    ),
    (
        "0003-checks",
        """
        -- What a dataset is checked by, as JSON: threshold, language, format.
        CREATE TABLE check_settings (dataset TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;

        -- Prompts that the checks compared: which stands in the split for those that are nearly the same.
        CREATE TABLE prompt_clusters (
            dataset TEXT NOT NULL,
            prompt BLOB NOT NULL,          -- the first 16 bytes of pairs.key
            representative BLOB NOT NULL,  -- likewise; empty: it was compared, and none is like it
            PRIMARY KEY (dataset, prompt)
        ) WITHOUT ROWID;
        """,
    ),
    (
        "0004-flags",
        """
        ALTER TABLE pair_flags ADD COLUMN key BLOB; -- pairs.key when it was found: of another text it tells nothing
        UPDATE pair_flags SET key = (SELECT key FROM pairs WHERE pairs.id = pair);
        """,
    ),
]
