"""What can become of a passage or a prompt, in words. Nothing heavy is imported here: the app shows them."""

from __future__ import annotations

DRAFTS = {
    "kept": "kept as pending",
    "refusal": "the model said that it cannot tell",
    "format": "not one question and one answer",
    "cut_off": "the answer did not come to its end",
    "points_at_passage": "it speaks of “the passage”, which is not there when the question is asked",
    "repeats": "the answer says the same twice",
    "unsupported": "the passage does not carry the answer, or it says nothing but the question again",
    "duplicate": "the dataset has such a question already",
    "too_long": "the model does not take so long a passage",
    "refused": "the server refused to answer",
}
"""Of a passage that was drafted from."""
SAMPLES = {
    "kept": "kept as pending, undecided",
    "same": "the model said the same every time",
    "empty": "the model said nothing",
    "cut_off": "the answers did not come to their end: they reached the most tokens",
    "too_long": "the model does not take so long a prompt",
    "refused": "the server refused to answer",
}
"""Of a prompt that was answered twice."""
