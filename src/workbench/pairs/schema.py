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
        "0003-checks",
        """
        -- What a dataset is checked by, as JSON: threshold, language, format.
        CREATE TABLE check_settings (dataset TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;

        -- Prompts that the checks found to be nearly the same: which of them stands for them in the split.
        CREATE TABLE prompt_clusters (
            dataset TEXT NOT NULL,
            prompt BLOB NOT NULL,          -- the first 16 bytes of pairs.key
            representative BLOB NOT NULL,  -- likewise
            PRIMARY KEY (dataset, prompt)
        ) WITHOUT ROWID;
        """,
    ),
]
