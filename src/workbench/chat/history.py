"""Chats kept in the workspace's database: what was asked, of which hybrid, what it answered, and from which passages.

Light: the app's process uses it. A connection is for one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench import database
from workbench.chat.answer import Citation, known
from workbench.chat.schema import MIGRATIONS
from workbench.errors import UserError

_TITLE = 60  # characters at most of a title made from a question
_MOST_FOUND = 200  # messages
_MOST_WORDS = 32  # more words narrow a search no further


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
    panes: tuple[tuple[int, str], ...] = ()
    """The panes that are asked side by side, the id and the hybrid of each; empty: `hybrid` alone."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `workbench.chat.presets.ChatSettings` that were set in it."""
    dataset: str = ""
    """Where the pairs go that are made from it; empty: not chosen yet."""
    branched_from: int | None = None
    """The chat that it was once a copy of."""


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
    """Of an answer: the fields of `Figures`, not_in_library, stopped, and asked: the chat's own system prompt, and the
    ids of the answers that came before it in its prompt."""
    created_at: float
    question: int | None = None
    """Of an answer: the id of the message that it answers."""
    pane: int = 0
    """Of an answer: the id of the pane in which it was given."""
    shown: int = 0
    """Of an answer: the highest of a pane's answers to a question is the one that the pane shows, then the newest."""
    better: bool = False
    """Of an answer: it was chosen over the other answers to its question; the chat goes on with it."""


@dataclass(frozen=True)
class Found:
    """A message that a search found, and where it stands."""

    chat: int
    title: str
    question: int
    """The id of the question, of which it is the text or an answer."""
    role: str
    content: str
    created_at: float


class ChatStore:
    """All chats of a workspace; what a method has returned from is on disk."""

    def __init__(self, path: Path) -> None:
        """Open the workspace's database.

        Raises:
            UserError: it cannot be opened.
        """
        self._connection = database.connect(path, MIGRATIONS, owner="chats")

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
        question: int | None = None,
        pane: int = 0,
    ) -> ChatMessage:
        """Add a question or an answer.

        Args:
            chat: its id.
            role: user or assistant.
            content: the text, as it was written.
            hybrid: which hybrid is asked or has answered; the chat remembers it.
            citations: what an answer was given to read.
            figures: JSON-able facts of an answer.
            question: the id of the message that is answered; None: the last question.
            pane: the id of the pane in which the answer was given. The chat remembers the hybrid of pane 0.

        Raises:
            UserError: the chat is gone.
        """
        now, figures = time.time(), figures or {}
        with database.transaction(self._connection) as db:
            title = " ".join(content.split())[:_TITLE] if role == "user" else ""
            changed = db.execute(
                "UPDATE chats SET changed_at = ?, hybrid = CASE ? WHEN 0 THEN ? ELSE hybrid END,"
                " title = CASE title WHEN '' THEN ? ELSE title END WHERE id = ?",
                (now, pane, hybrid, title, chat),
            )
            if not changed.rowcount:
                raise UserError("the chat is gone", where=str(chat), do="Begin a new one.")
            if role == "assistant" and question is None:
                question = db.execute(
                    "SELECT max(id) FROM chat_messages WHERE chat = ? AND role = 'user'", (chat,)
                ).fetchone()[0]
            row = db.execute(
                "INSERT INTO chat_messages"
                " (chat, role, content, hybrid, citations, figures, created_at, question, pane, shown)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,"
                " (SELECT 1 + coalesce(max(shown), 0) FROM chat_messages WHERE question = ?))",
                (
                    *(chat, role, content, hybrid, _listed(citations), _json(figures), now),
                    *(question, pane, question),
                ),
            )
            kept = db.execute("SELECT * FROM chat_messages WHERE id = ?", (row.lastrowid,)).fetchone()
        return _message(kept)

    def update(
        self, message: int, content: str, *, citations: tuple[Citation, ...] = (), figures: dict[str, Any]
    ) -> None:
        """Replace what an answer is known to be so far: it is still coming, or has ended."""
        self._connection.execute(
            "UPDATE chat_messages SET content = ?, citations = ?, figures = ? WHERE id = ?",
            (content, _listed(citations), _json(figures), message),
        )

    def remove(self, message: int) -> None:
        """Take a message away that came to nothing, with a question its answers; a chat left empty goes with it."""
        with database.transaction(self._connection) as db:
            row = db.execute("SELECT chat FROM chat_messages WHERE id = ?", (message,)).fetchone()
            db.execute("DELETE FROM chat_messages WHERE id = ?", (message,))
            if row is not None:
                db.execute(
                    "DELETE FROM chats WHERE id = ? AND NOT EXISTS (SELECT 1 FROM chat_messages WHERE chat = chats.id)"
                    " AND branched_from IS NULL",
                    (row["chat"],),
                )

    def show(self, message: int) -> None:
        """Let an answer be the one of its pane that is shown."""
        self._connection.execute(
            "UPDATE chat_messages SET shown = (SELECT 1 + max(other.shown) FROM chat_messages AS other"
            " WHERE other.question = chat_messages.question) WHERE id = ?",
            (message,),
        )

    def prefer(self, question: int, answer: int | None) -> None:
        """Mark one answer to a question as the better one; None takes the mark away."""
        self._connection.execute(
            "UPDATE chat_messages SET better = (id = ?) WHERE question = ?", (answer or -1, question)
        )

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
        """The questions and answers of a chat, in the order in which they came."""
        rows = self._connection.execute("SELECT * FROM chat_messages WHERE chat = ? ORDER BY id", (chat,))
        return [_message(row) for row in rows]

    def search(self, words: str) -> list[Found]:
        """The messages of all chats in which all these words occur, newest first; the last one may be a beginning.

        Case and accents do not count. What has no letters and digits is passed over; no search is a syntax error.
        """
        seen = [word.replace("\0", "") for word in words.split() if any(map(str.isalnum, word))][:_MOST_WORDS]
        if not seen:
            return []
        match = " ".join('"' + word.replace('"', '""') + '"' for word in seen) + "*"
        rows = self._connection.execute(
            "SELECT m.chat, c.title, coalesce(m.question, m.id) AS question, m.role, m.content, m.created_at"
            " FROM chat_search JOIN chat_messages AS m ON m.id = chat_search.rowid JOIN chats AS c ON c.id = m.chat"
            " WHERE chat_search MATCH ? ORDER BY m.id DESC LIMIT ?",
            (match, _MOST_FOUND),
        )
        return [Found(**dict(row)) for row in rows]

    def configure(
        self,
        chat: int,
        *,
        panes: Sequence[tuple[int, str]] | None = None,
        sampling: Mapping[str, Any] | None = None,
        dataset: str | None = None,
    ) -> None:
        """Remember how a chat goes on; None leaves a part as it is."""
        given = {
            "panes": None if panes is None else _json(list(panes)),
            "sampling": None if sampling is None else _json(dict(sampling)),
            "dataset": dataset,
        }
        for column, value in given.items():
            if value is not None:
                self._connection.execute(f"UPDATE chats SET {column} = ? WHERE id = ?", (value, chat))

    def branch(self, chat: int, until: int) -> Chat:
        """A copy of a chat that goes its own way: its questions up to the one with the id `until`, with their answers.

        Raises:
            UserError: the chat is gone.
        """
        now = time.time()
        with database.transaction(self._connection) as db:
            title = "CASE WHEN EXISTS (SELECT 1 FROM chat_messages WHERE chat = chats.id AND id <= :until)"
            made = db.execute(
                "INSERT INTO chats (title, hybrid, created_at, changed_at, panes, sampling, dataset, branched_from)"
                f" SELECT {title} THEN title ELSE '' END, hybrid, :now, :now, panes, sampling, dataset, id"
                " FROM chats WHERE id = :chat",
                {"until": until, "now": now, "chat": chat},
            )
            if not made.rowcount:
                raise UserError("the chat is gone", where=str(chat), do="Begin a new one.")
            branch = made.lastrowid or 0
            copied: dict[int | None, int] = {}
            rows = db.execute(
                "SELECT * FROM chat_messages WHERE chat = ? AND coalesce(question, id) <= ? ORDER BY id", (chat, until)
            ).fetchall()
            for row in rows:
                values = {**dict(row), "chat": branch, "question": copied.get(row["question"])}
                figures = json.loads(row["figures"])
                if told := figures.get("asked"):  # the answers that it followed are copies, too
                    told["answers"] = [copied.get(id, id) for id in told["answers"]]
                    values["figures"] = _json(figures)
                del values["id"]
                copy = db.execute(
                    f"INSERT INTO chat_messages ({', '.join(values)}) VALUES (:{', :'.join(values)})",
                    values,
                )
                copied[row["id"]] = copy.lastrowid or 0
        return self.get(branch)

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
        return Chat(
            row["id"],
            row["title"],
            row["hybrid"],
            row["created_at"],
            row["changed_at"],
            row["messages"],
            tuple((int(id), str(hybrid)) for id, hybrid in json.loads(row["panes"])),
            json.loads(row["sampling"]),
            row["dataset"],
            row["branched_from"],
        )


_CHATS = "SELECT *, (SELECT count(*) FROM chat_messages WHERE chat = chats.id) AS messages FROM chats"


def _message(row: Any) -> ChatMessage:
    return ChatMessage(
        row["id"],
        row["role"],
        row["content"],
        row["hybrid"],
        tuple(Citation(**known(Citation, each)) for each in json.loads(row["citations"])),
        json.loads(row["figures"]),
        row["created_at"],
        row["question"],
        row["pane"],
        row["shown"],
        bool(row["better"]),
    )


def _listed(citations: Sequence[Citation]) -> str:
    return _json([asdict(citation) for citation in citations])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
