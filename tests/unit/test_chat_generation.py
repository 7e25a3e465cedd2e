"""Text as it comes: whole characters, spaces kept, stop strings, sampling, cancelling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from workbench.chat.decode import Decoder
from workbench.chat.generation import Detokenizer, Sampling, StopStrings, choose, generate

TEXT = "Grüße, 你好 👩‍🚀!  two  spaces\n\tand a tab"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte: every character beyond ASCII is spread over several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def word_tokenizer() -> PreTrainedTokenizerFast:
    """As SentencePiece: a word's token carries the space before it, which vanishes at the beginning of a text."""
    words = ["▁the", "▁quick", "er", "▁fox", "."]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="."))
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


class FakeDecoder(Decoder):
    """Says what it is told to, whatever it reads."""

    def __init__(self, says: Sequence[int], vocabulary: int = 300) -> None:
        super().__init__(4096)
        self.says, self.vocabulary, self.steps = list(says), vocabulary, 0

    def _keep(self, count: int) -> int:
        return 0

    def _forward(self, tokens: Sequence[int], position: int, exact: bool) -> torch.Tensor:
        logits = torch.zeros(self.vocabulary)
        logits[self.says[self.steps]] = 9.0
        self.steps += 1
        return logits


def said(text: str, sampling: Sampling, **options: object) -> tuple[list[str], str | None]:
    tokenizer = byte_tokenizer()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    decoder = FakeDecoder([*tokens, tokenizer.eos_token_id, 0])
    pieces = list(generate(decoder, tokenizer, [1, 2], sampling, ends={tokenizer.eos_token_id}, **options))
    return [piece.text for piece in pieces], pieces[-1].finish_reason if pieces else None


def test_no_piece_holds_half_a_character_and_nothing_is_lost() -> None:
    texts, reason = said(TEXT, Sampling(max_tokens=500))
    assert "".join(texts) == TEXT
    assert not any("\ufffd" in text for text in texts)
    assert reason == "stop"
    assert len(texts) == len(TEXT.encode()) + 1


def test_an_incomplete_character_at_the_end_is_shown_as_such() -> None:
    texts, reason = said("ab你", Sampling(max_tokens=4))
    assert "".join(texts) == "ab\ufffd"
    assert reason == "length"


def test_spaces_between_words_are_kept() -> None:
    detokenizer = Detokenizer(word_tokenizer())
    assert [detokenizer.add(token) for token in (0, 1, 2, 3, 4)] == ["the", " quick", "er", " fox", "."]


def test_stop_strings_are_never_shown_not_even_in_part() -> None:
    texts, reason = said("one ###", Sampling(max_tokens=50, stop=("###",)))
    assert "".join(texts) == "one "
    assert reason == "stop"
    texts, _ = said("a ## b # c##", Sampling(max_tokens=50, stop=("###", "END")))
    assert "".join(texts) == "a ## b # c##"
    texts, _ = said("x EN END y", Sampling(max_tokens=50, stop=("###", "END")))
    assert "".join(texts) == "x EN "


def test_the_first_of_several_stop_strings_counts() -> None:
    stops = StopStrings(["late", "ea", ""])
    assert stops.add("the early late") == ("the ", True)


def test_cancelled_at_the_next_token() -> None:
    looks = iter([False, False, False, True])
    texts, reason = said("abcdef", Sampling(max_tokens=50), cancelled=lambda: next(looks))
    assert texts == ["a", "b"]
    assert reason is None


def test_max_tokens_computes_no_more_than_it_shows() -> None:
    tokenizer = byte_tokenizer()
    decoder = FakeDecoder([65, 66, 67, 68])
    pieces = list(generate(decoder, tokenizer, [1], Sampling(max_tokens=3), ends=set()))
    assert decoder.steps == 3
    assert len(pieces) == 4
    assert pieces[-1].finish_reason == "length"


def test_sampling_follows_the_probabilities_inside_the_nucleus_and_is_repeatable() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))

    def draws(sampling: Sampling) -> list[int]:
        drawing = torch.Generator().manual_seed(sampling.seed or 0)
        return [choose(logits, sampling, drawing) for _ in range(2000)]

    plain = draws(Sampling(1, temperature=1.0, seed=1))
    assert plain == draws(Sampling(1, temperature=1.0, seed=1)) != draws(Sampling(1, temperature=1.0, seed=2))
    assert [plain.count(token) / 2000 for token in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)
    nucleus = draws(Sampling(1, temperature=1.0, top_p=0.75, seed=1))
    assert [nucleus.count(token) / 2000 for token in range(4)] == pytest.approx([0.625, 0.375, 0, 0], abs=0.04)
    assert set(draws(Sampling(1, temperature=1.0, top_p=0.01))) == {0}
    assert set(draws(Sampling(1))) == {0}
    assert draws(Sampling(1, temperature=0.05)).count(0) > 1990
