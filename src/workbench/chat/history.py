"""Chats kept in the workspace's database: what was asked, of which hybrid, what it answered, and from which passages.

Light: the app's process uses it. A connection is for one thread.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench import database
from workbench.chat.answer import Citation, known
from workbench.errors import UserError

_TITLE = 60  # characters at most of a title made from a question
_MIGRATIONS = [
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
    )
]


@dataclass(frozen=True)
class Chat:
    """A conversation. Times are seconds since the epoch."""

    id: int
    title: str
    hybrid: str
    """The hybrid that was last chosen in it."""
    created_at: float
    changed_at: float
    messages: int


@dataclass(frozen=True)
class ChatMessage:
    """One turn."""

    id: int
    role: str
    """user or assistant."""
    content: str
    hybrid: str
    """Which hybrid was asked, or answered."""
    citations: tuple[Citation, ...]
    figures: dict[str, Any]
    """Of an answer: the fields of `Figures`, not_in_library, stopped."""
    created_at: float


class ChatStore:
    """All chats of a workspace; what a method has returned from is on disk."""

    def __init__(self, path: Path) -> None:
        """Open the workspace's database.

        Raises:
            UserError: it cannot be opened.
        """
        self._connection = database.connect(path, _MIGRATIONS, owner="chats")

    def __enter__(self) -> ChatStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create(self, hybrid: str, *, title: str = "") -> Chat:
        """Begin a chat; without a title it takes its first question's."""
        now = time.time()
        with database.transaction(self._connection) as db:
            row = db.execute(
                "INSERT INTO chats (title, hybrid, created_at, changed_at) VALUES (?, ?, ?, ?)",
                (title, hybrid, now, now),
            )
        return Chat(int(row.lastrowid or 0), title, hybrid, now, now, 0)

    def append(
        self,
        chat: int,
        role: str,
        content: str,
        *,
        hybrid: str,
        citations: tuple[Citation, ...] = (),
        figures: dict[str, Any] | None = None,
    ) -> ChatMessage:
        """Add a turn.

        Args:
            chat: its id.
            role: user or assistant.
            content: the text, as it was written.
            hybrid: which hybrid is asked or has answered; the chat remembers it.
            citations: what an answer was given to read.
            figures: JSON-able facts of an answer.

        Raises:
            UserError: the chat is gone.
        """
        now, figures = time.time(), figures or {}
        listed = json.dumps([asdict(citation) for citation in citations], ensure_ascii=False)
        with database.transaction(self._connection) as db:
            title = " ".join(content.split())[:_TITLE] if role == "user" else ""
            changed = db.execute(
                "UPDATE chats SET changed_at = ?, hybrid = ?, title = CASE title WHEN '' THEN ? ELSE title END"
                " WHERE id = ?",
                (now, hybrid, title, chat),
            )
            if not changed.rowcount:
                raise UserError("the chat is gone", where=str(chat), do="Begin a new one.")
            row = db.execute(
                "INSERT INTO chat_messages (chat, role, content, hybrid, citations, figures, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (chat, role, content, hybrid, listed, json.dumps(figures, ensure_ascii=False), now),
            )
        return ChatMessage(int(row.lastrowid or 0), role, content, hybrid, citations, figures, now)

    def chats(self) -> list[Chat]:
        """All chats, the one changed last first."""
        return [self._chat(row) for row in self._connection.execute(f"{_CHATS} ORDER BY changed_at DESC, id DESC")]

    def get(self, chat: int) -> Chat:
        """One chat.

        Raises:
            UserError: it is gone.
        """
        row = self._connection.execute(f"{_CHATS} WHERE id = ?", (chat,)).fetchone()
        if row is None:
            raise UserError("the chat is gone", where=str(chat), do="Begin a new one.")
        return self._chat(row)

    def messages(self, chat: int) -> list[ChatMessage]:
        """The turns of a chat, in order."""
        rows = self._connection.execute("SELECT * FROM chat_messages WHERE chat = ? ORDER BY id", (chat,))
        return [
            ChatMessage(
                row["id"],
                row["role"],
                row["content"],
                row["hybrid"],
                tuple(Citation(**known(Citation, each)) for each in json.loads(row["citations"])),
                json.loads(row["figures"]),
                row["created_at"],
            )
            for row in rows
        ]

    def rename(self, chat: int, title: str) -> None:
        """Give a chat another title."""
        self._connection.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat))

    def choose(self, chat: int, hybrid: str) -> None:
        """Remember the hybrid that the chat goes on with."""
        self._connection.execute("UPDATE chats SET hybrid = ? WHERE id = ?", (hybrid, chat))

    def delete(self, chat: int) -> None:
        """Remove a chat and its turns, for good."""
        self._connection.execute("DELETE FROM chats WHERE id = ?", (chat,))

    @staticmethod
    def _chat(row: Any) -> Chat:
        return Chat(row["id"], row["title"], row["hybrid"], row["created_at"], row["changed_at"], row["messages"])


_CHATS = "SELECT *, (SELECT count(*) FROM chat_messages WHERE chat = chats.id) AS messages FROM chats"
