"""The tables of the chats in the workspace's database.

A row of `chat_messages` is a question or an answer. An answer names its question, and the pane in which it was given:
a question has one or more answers in each of up to four panes.
"""

from __future__ import annotations

MIGRATIONS = [
    (
        "001-chats",
        """
        CREATE TABLE chats (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            hybrid TEXT NOT NULL,
            created_at REAL NOT NULL,
            changed_at REAL NOT NULL
        );
        CREATE TABLE chat_messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            chat INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            hybrid TEXT NOT NULL,
            citations TEXT NOT NULL,
            figures TEXT NOT NULL,
            created_at REAL NOT NULL
        );
        CREATE INDEX chat_messages_of_chat ON chat_messages (chat, id);
        """,
    ),
    (
        "002-panes-and-search",
        """
        ALTER TABLE chats ADD COLUMN panes TEXT NOT NULL DEFAULT '[]';    -- JSON: [[id, hybrid], ...]   
        ALTER TABLE chats ADD COLUMN sampling TEXT NOT NULL DEFAULT '{}'; -- JSON: the fields of ChatSettings
        ALTER TABLE chats ADD COLUMN dataset TEXT NOT NULL DEFAULT '';    -- where pairs made from it go
        ALTER TABLE chats ADD COLUMN branched_from INTEGER;               -- the chat that it was a copy of
        ALTER TABLE chat_messages ADD COLUMN question INTEGER REFERENCES chat_messages (id) ON DELETE CASCADE;
        ALTER TABLE chat_messages ADD COLUMN pane INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE chat_messages ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;  -- of its pane's answers the highest is
        ALTER TABLE chat_messages ADD COLUMN better INTEGER NOT NULL DEFAULT 0; -- than the question's other answers
        UPDATE chat_messages SET question = (
            SELECT max(asked.id) FROM chat_messages AS asked
            WHERE asked.chat = chat_messages.chat AND asked.role = 'user' AND asked.id < chat_messages.id
        ) WHERE role = 'assistant';
        CREATE INDEX chat_messages_of_question ON chat_messages (question);
        CREATE VIRTUAL TABLE chat_search USING fts5 (
            content, content = 'chat_messages', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
        );
        INSERT INTO chat_search (chat_search) VALUES ('rebuild');
        CREATE TRIGGER chat_messages_indexed AFTER INSERT ON chat_messages BEGIN
            INSERT INTO chat_search (rowid, content) VALUES (new.id, new.content);
        END;
        CREATE TRIGGER chat_messages_unindexed AFTER DELETE ON chat_messages BEGIN
            INSERT INTO chat_search (chat_search, rowid, content) VALUES ('delete', old.id, old.content);
        END;
        CREATE TRIGGER chat_messages_edited AFTER UPDATE OF content ON chat_messages BEGIN
            INSERT INTO chat_search (chat_search, rowid, content) VALUES ('delete', old.id, old.content);
            INSERT INTO chat_search (rowid, content) VALUES (new.id, new.content);
        END;
        """,
    ),
]
