"""A chat as Markdown: its questions, and the answers of its panes with their marks and the passages that carry them."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.chat.history import Chat, ChatMessage
from workbench.chat.marking import marked


def to_markdown(chat: Chat, messages: Sequence[ChatMessage]) -> str:
    """The chat as a document; of several answers in a pane the one that is shown.

    Args:
        chat: whose title and settings stand at the top.
        messages: of `ChatStore.messages`.
    """
    parts = [f"# {_line(chat.title) or 'Chat'}"]
    if system := chat.sampling.get("system"):
        parts.append(f"System prompt: {_line(str(system))}")
    for at, question in enumerate((message for message in messages if message.role == "user"), 1):
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
            label = f"q{at}p{answer.pane + 1}-"  # the notes of all answers stand in one document
            text = marked(answer.content, answer.citations, question.content, label=label).strip()
            parts.append(text if answer.content.strip() else "(no answer)")
    return "\n\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())
