"""The tables of question sets and comparisons in the workspace's database."""

from __future__ import annotations

MIGRATIONS = [
    (
        "001-comparisons",
        """
        CREATE TABLE question_sets (
            name TEXT NOT NULL,
            number INTEGER NOT NULL, -- the order in which they came
            key TEXT NOT NULL,
            question TEXT NOT NULL,  -- JSON: Question.as_dict()
            PRIMARY KEY (name, key)
        );
        CREATE TABLE comparisons (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            created_at REAL NOT NULL,
            spec TEXT NOT NULL,      -- JSON: workbench.compare.spec.Spec
            costs TEXT NOT NULL DEFAULT '{}',
            verdict TEXT             -- JSON: workbench.compare.verdict.Verdict, once there is one
        );
        CREATE TABLE comparison_questions (
            comparison INTEGER NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            key TEXT NOT NULL,
            question TEXT NOT NULL,
            ranking TEXT,            -- JSON: Ranking, once the index was searched for it
            PRIMARY KEY (comparison, number)
        );
        CREATE TABLE comparison_answers (
            comparison INTEGER NOT NULL,
            number INTEGER NOT NULL,
            arm TEXT NOT NULL,
            text TEXT NOT NULL,
            citations TEXT NOT NULL, -- JSON: the passages that the model was given
            figures TEXT NOT NULL,
            scores TEXT NOT NULL,    -- JSON: metric -> number or null
            answered_at REAL NOT NULL,
            PRIMARY KEY (comparison, number, arm),
            FOREIGN KEY (comparison, number) REFERENCES comparison_questions (comparison, number) ON DELETE CASCADE
        );
        """,
    )
]
