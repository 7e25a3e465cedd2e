"""A chat as Markdown: its questions, the answers of its panes, and the passages that each was drawn from."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.chat.answer import Citation
from workbench.chat.history import Chat, ChatMessage


def to_markdown(chat: Chat, messages: Sequence[ChatMessage]) -> str:
    """The chat as a document; of several answers in a pane the one that is shown.

    Args:
        chat: whose title and settings stand at the top.
        messages: of `ChatStore.messages`.
    """
    parts = [f"# {_line(chat.title) or 'Chat'}"]
    if system := chat.sampling.get("system"):
        parts.append(f"System prompt: {_line(str(system))}")
    for question in (message for message in messages if message.role == "user"):
        parts += ["## Question", _quoted(question.content)]
        shown: dict[int, ChatMessage] = {}
        for answer in sorted(
            (each for each in messages if each.question == question.id), key=lambda each: (each.shown, each.id)
        ):
            shown[answer.pane] = answer
        for answer in (shown[pane] for pane in sorted(shown)):
            notes = [name for name in ("stopped", "failed") if answer.figures.get(name)]
            notes += ["the better answer"] if answer.better else []
            parts.append(f"### {_line(answer.hybrid)}" + (f" ({', '.join(notes)})" if notes else ""))
            parts.append(answer.content.strip() or "(no answer)")
            if answer.citations:
                parts.append("Sources:\n\n" + "\n".join(map(_source, answer.citations)))
    return "\n\n".join(parts) + "\n"


def _source(citation: Citation) -> str:
    place = f", {_line(citation.place)}" if citation.place else ""
    return f"- [{citation.number}] {_line(citation.document)}{place}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())
