"""An answer as Markdown, with a mark behind each sentence; a click on a mark or a number asks for its passage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownBlock

from screens.answer_marks import AnswerMarks, asked_passage, has_place, without_places


def _parser() -> MarkdownIt:
    """Markdown in which nothing disappears: HTML and link definitions ("[1]: ...") are shown as they are written."""
    return MarkdownIt("gfm-like", {"html": False, "linkify": False}).disable("reference")


class _Painted:
    """A block that keeps its text with the places for marks, and shows the marks. To be mixed into a `MarkdownBlock`:
    it is no widget itself, for Textual looks for styles along the first base that is one."""

    def set_content(self: Any, content: Content) -> None:
        self._content = content
        self.repaint()

    def repaint(self: Any) -> None:
        self.update(self._markdown.painted(self._content))


class _Cell:
    """A cell, whose text its table shows."""

    def set_content(self: Any, content: Content) -> None:
        self._content = self._markdown.painted(content)


class _Code:
    """A block of code, which has no marks."""

    def __init__(self, markdown: Markdown, token: Any, code: str) -> None:
        super().__init__(markdown, token, without_places(code))  # pyright: ignore[reportCallIssue]


def _blocks() -> dict[str, type[MarkdownBlock]]:
    """Textual's blocks that show text of their own, each with one of the above before it."""
    mixed = {
        **dict.fromkeys(("paragraph_open", "h1", "h2", "h3", "h4", "h5", "h6"), _Painted),
        **dict.fromkeys(("th_open", "td_open"), _Cell),
        **dict.fromkeys(("fence", "code_block"), _Code),
    }
    blocks = dict(Markdown.BLOCKS)
    for name, mixin in mixed.items():
        blocks[name] = type(blocks[name].__name__, (mixin, blocks[name]), {})
    return blocks


class MarkedAnswer(Markdown):
    """Give it text that `AnswerMarks.more` made."""

    BLOCKS: ClassVar[dict[str, type[MarkdownBlock]]] = _blocks()

    @dataclass
    class PassageAsked(Message):
        """A mark or a number was clicked."""

        sentence: int
        """Its place among the sentences of the answer."""
        number: int
        """Of the passage."""

    def __init__(self, markdown: str, marks: AnswerMarks) -> None:
        super().__init__(markdown, parser_factory=_parser, open_links=False)
        self.marks = marks
        """Of the answer that is shown."""
        self.chosen: int | None = None
        """The place of the sentence that was gone to."""

    def on_click(self, event: Click) -> None:
        if asked := asked_passage(event.style):
            event.stop()
            self.post_message(self.PassageAsked(*asked))

    def painted(self, content: Content) -> Content:
        """What is seen of a block."""
        return self.marks.painted(content, self.chosen)

    def choose(self, at: int | None) -> Widget | None:
        """Emphasise a sentence, or none; the block that it stands in, where that shows it."""
        before, self.chosen = self.chosen, at
        found: Widget | None = None
        for block in self.query(MarkdownBlock):
            if isinstance(block, _Painted):
                holds = at is not None and has_place(block._content.plain, at)
                if holds or (before is not None and has_place(block._content.plain, before)):
                    block.repaint()
                found = block if holds else found
        return found
