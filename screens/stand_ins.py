"""Text in an editor: characters that a terminal must not see are exchanged for visible ones, and later put back."""

from __future__ import annotations

from itertools import count

from workbench.text import for_terminal

_PRIVATE = 0xE000  # the first of 6,400 characters that mean nothing to anybody


class StandIns:
    """One text: what an editor may show of it, and what an edited one stands for.

    Each character that `for_terminal` would replace has a stand-in of its own that the text does not contain, so that
    an edit changes nothing but what the user changed. (TextArea would also take form feeds and the like for the ends
    of lines, and write them as newlines.)
    """

    def __init__(self, text: str) -> None:
        # A text whose lines all end in CRLF is edited with plain newlines; a stray CR is shown.
        self._crlf = "\r\n" in text and text.count("\r\n") == text.count("\n") == text.count("\r")
        if self._crlf:
            text = text.replace("\r\n", "\n")
        present = set(text)
        private = (chr(code) for code in count(_PRIVATE))
        self._stand_in: dict[str, str] = {}
        for character in sorted(present):
            stand_in = for_terminal(character)
            if stand_in == character:
                continue
            while stand_in in present:
                stand_in = next(private)
            present.add(stand_in)
            self._stand_in[character] = stand_in
        self.shown = text.translate(str.maketrans(self._stand_in))
        """The text as an editor shows it."""

    def restored(self, edited: str) -> str:
        """What the edited text stands for."""
        text = edited.translate(str.maketrans({value: key for key, value in self._stand_in.items()}))
        return text.replace("\n", "\r\n") if self._crlf else text
