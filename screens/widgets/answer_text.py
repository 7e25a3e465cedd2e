"""A question, an answer with its scores, and the sources, as lines made for a width. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from screens.compare_state import AnswersOf
from screens.query_words import differing_spans, snippet, word_spans
from screens.widgets.scores import flowed, indented, line, muted, said
from workbench.compare.question import Question
from workbench.compare.store import Answered
from workbench.text import for_terminal

_TEXT = 3  # rows of a passage's text
_REFERENCES = 3  # shown
_SCORES = (
    ("f1", "F1", "share"), ("exact_match", "EM", "share"), ("rouge_l", "ROUGE", "share"),
    ("support", "support", "share"), ("format_held", "format", "share"), ("seconds", "", "seconds"),
    ("completion_tokens", "tokens", "tokens"),
)  # fmt: skip


def question_lines(answers: AnswersOf, room: int) -> list[Content]:
    """What is asked, what came of it and why, and what would be right."""
    question, number = answers.line.question, answers.line.shown
    head = Content.from_markup("[$text-accent b]$number[/] ", number=str(number))
    lines = []
    for message in question.messages[:-1]:
        lines += indented(muted(f"{line(message['role'])}: {line(message['content'])}"), room)
    lines += indented(Content(for_terminal(question.text)).stylize("bold"), room, head, rest="")
    if category := answers.category:
        lines += indented(muted(line(category.about)), room, Content(f"{line(category.title)}  "), rest="")
    if question.answerable is False:
        lines.append(Content.from_markup("[$text-success]right:[/] that the library does not tell"))
    elif question.answers:
        shown = " · ".join(line(answer) for answer in question.answers[:_REFERENCES])
        more = f" and {len(question.answers) - _REFERENCES} more" if len(question.answers) > _REFERENCES else ""
        right = Content.from_markup("[$text-success]$shown[/][$foreground-muted]$more[/]", shown=shown, more=more)
        lines += indented(right, room, Content.from_markup("[$text-success]right:[/] "))
    else:
        lines.append(muted("No reference answer: what is right is not known."))
    return lines


def answer_lines(
    question: Question, answer: Answered | None, room: int, *, against: str | None = None
) -> list[Content]:
    """An answer over its scores, with words marked.

    Args:
        question: whose references' words are marked.
        answer: None where there is none yet.
        room: cells of a line.
        against: another answer's text. Then only the words that it does not say are marked: those of a reference as
            right, all others underlined.
    """
    if answer is None:
        return [muted("not answered")]
    if error := answer.figures.get("error"):
        return indented(Content.from_markup("[$text-error]$text[/]", text=line(error)), room)
    text = for_terminal(answer.text)
    body = Content(text) if text.strip() else muted("(it said nothing)")
    if text.strip():
        right = word_spans(text, " ".join(question.answers)) if question.answers else []
        marked = right if against is None else differing_spans(text, for_terminal(against))
        for span in marked:
            body = body.stylize("$text-success bold" if span in right else "$text-warning underline", *span)
    return [*indented(body, room), Content(""), *_scores(answer.scores, room)]


def _scores(scores: Mapping[str, float | None], room: int) -> list[Content]:
    parts = []
    if scores.get("abstained"):
        parts.append(Content.from_markup("[$text-warning]abstained[/]"))
    for name, label, unit in _SCORES:
        if (value := scores.get(name)) is not None:
            text = said(value, unit, short=True)
            before, after = ("", f" {label}") if unit == "tokens" else (f"{label} " if label else "", "")
            parts.append(
                Content.from_markup(
                    "[$foreground-muted]$before[/]$text[$foreground-muted]$after[/]",
                    before=before,
                    text=text,
                    after=after,
                )
            )
    return flowed(parts, room)


def source_lines(answers: AnswersOf, room: int) -> list[Content]:
    """The passages that the model was given, the right one marked, and where it stood if it was not among them."""
    sources, ranking = answers.sources, answers.ranking
    right = ranking.right if ranking else None
    lines = [_where(right, len(sources), room)]
    if not sources:
        return lines if ranking else []
    question = answers.line.question
    for source in sources:
        lines += _source(source, question, source.get("number") in (right or ()), room)
    return lines


def _where(right: Sequence[int] | None, given: int, room: int) -> Content:
    head = Content.from_markup("[b $text-accent]Sources[/]  ")
    if right is None:
        return head + muted("where the answer stands is not known")
    if not right:
        return head + Content.from_markup("[$text-error]the right passage was not found[/]")
    text = f"the right passage is number {right[0]}"
    if given and right[0] > given:
        return head + Content.from_markup("[$text-error]$text, below the $k given[/]", text=text, k=str(given))
    return head + Content.from_markup("[$text-success]$text[/]", text=text)


def _source(source: Mapping[str, Any], question: Question, right: bool, room: int) -> list[Content]:
    similarity = source.get("similarity")
    head = Content.from_markup(
        f"[{'$text-success' if right else '$foreground-muted'}]$mark \\[$number][/] [b]$document[/]"
        "  [$foreground-muted]$place  $similarity[/]",
        mark="✓" if right else " ",
        number=str(source.get("number", "?")),
        document=line(source.get("document", "")),
        place=line(source.get("place", "")),
        similarity="" if similarity is None else f"similarity {similarity:.2f}",
    ).truncate(room, ellipsis=True)
    text = line(source.get("text", ""))
    inside = max(10, room - 6)
    wanted = " ".join(question.answers) if question.answers and question.answerable is not False else question.text
    spans = word_spans(text, wanted)
    start, end = snippet(text, spans, _TEXT * inside - inside // 4)
    body = Content(text[start:end])
    for a, b in spans:
        if start <= a and b <= end:
            body = body.stylize("$text-success bold" if question.answers else "bold", a - start, b - start)
    if start:
        body = Content("… ") + body
    return [head, *indented(body, room, "      ")[:_TEXT]]
