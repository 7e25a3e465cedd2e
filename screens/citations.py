"""What a screen does with the passages that carry its answers: going from sentence to sentence, opening places."""

from __future__ import annotations

from textual import on

from screens.base import WorkbenchScreen
from screens.conversation import Turn
from screens.passages import FoundPassage
from screens.query_words import Span
from screens.widgets.sources import Sources
from screens.widgets.transcript import Transcript
from screens.widgets.turn_view import TurnView


class CitationScreen(WorkbenchScreen):
    """A screen whose answers can be checked. It has one `Sources`."""

    @property
    def turn_view(self) -> TurnView | None:
        """The answer that the keys are about."""
        raise NotImplementedError

    async def show_turn(self) -> None:
        """Bring the answer that the keys are about into sight: its widget is only there while it is near that."""
        raise NotImplementedError

    async def action_sentence(self, step: int) -> None:
        """Go to the next sentence of the answer, or the one before."""
        if self.turn_view is None:
            await self.show_turn()
        if (view := self.turn_view) is not None:
            view.go(step)

    def action_open_passage(self) -> None:
        """Open the document of the passage that carries the sentence."""
        view = self.turn_view
        if view is None or view.evidence is None:
            self.app.tell("Go to a sentence first, with the full stop")
        elif not view.open_passage():
            self.app.tell("No passage says this sentence")

    def leave_sentence(self) -> bool:
        """Go to no sentence any more; whether one was gone to."""
        left = self.has_class("-evidence")
        for view in self.query(TurnView):
            if view.evidence is not None:
                view.choose(None)
                left = True
        # The answer may be out of sight, without a widget that could tell.
        self.query_one(Sources).forget_evidence()
        self.remove_class("-evidence")
        return left

    @on(TurnView.SentenceChosen)
    def _sentence_chosen(self, event: TurnView.SentenceChosen) -> None:
        if event.evidence is not None:
            self._forget_sentences(but=event.turn)
        self.query_one(Sources).show_evidence(event.turn, event.evidence)
        # Where there is no room for them beside the answer they are shown while a sentence is looked at.
        self.set_class(event.evidence is not None, "-evidence")

    @on(Transcript.TurnChosen)
    def _leave_other_turns(self, event: Transcript.TurnChosen) -> None:
        self._forget_sentences(but=event.turn)
        self.set_class(any(view.evidence is not None for view in self.query(TurnView)), "-evidence")

    def _forget_sentences(self, *, but: Turn | None) -> None:
        for view in self.query(TurnView):
            if view.turn is not but:
                view.forget_sentence()

    @on(TurnView.PassageChosen)
    def _passage_chosen(self, event: TurnView.PassageChosen) -> None:
        if (number := event.evidence.number) is not None:
            self._open_document(event.turn, number - 1, event.evidence.words)

    @on(Sources.Chosen)
    def _source_chosen(self, event: Sources.Chosen) -> None:
        self._open_document(event.turn, event.at, event.words)

    def _open_document(self, turn: Turn, at: int, words: tuple[Span, ...]) -> None:
        from screens.modals.document import DocumentViewer

        if turn.index is None:
            return
        found = [FoundPassage.of_citation(each, words if n == at else ()) for n, each in enumerate(turn.citations)]
        self.app.push_screen(DocumentViewer.at_passage(self.workspace, turn.index, found, at, turn.question))
