"""Scoring passages for a question with a cross-encoder of sentence-transformers. It knows nothing of indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import UserError
from workbench.models import local
from workbench.models.load import be_offline, device, fingerprint


class Reranker:
    """A CrossEncoder with one output, on the best device here.

    Attributes:
        fingerprint: tells its weights from all others.

    Raises:
        UserError: the folder does not hold one.
    """

    def __init__(self, folder: Path) -> None:
        be_offline()
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging

        _check(folder)
        logging.disable_progress_bar()
        try:
            self._model = CrossEncoder(
                str(folder),
                device=device(),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"the reranker cannot be loaded: {reason}", where=str(folder)) from None
        self.fingerprint = fingerprint(folder)

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, higher is better; comparable only within one question.

        Raises:
            UserError: a score is not finite.
        """
        import numpy as np

        if not texts:
            return []
        pairs = [(question, text) for text in texts]
        scores = np.asarray(self._model.predict(pairs, batch_size=8, show_progress_bar=False), np.float64)
        if not np.isfinite(scores).all():
            raise UserError("the reranker gave a score that is not finite", where="retrieval.reranker")
        return [float(score) for score in scores]


def load(name: str) -> Reranker:
    """Load a reranker.

    Args:
        name: a folder, a hub id, or a name of the catalogue.

    Raises:
        UserError: it is not on this machine, or is not a reranker.
    """
    folder = local.local_folder(name)
    if folder is None:
        raise UserError(
            f"the reranker {name!r} is not on this machine",
            where="retrieval.reranker in configs/settings.yaml",
            do=f"Fetch it with `workbench models fetch {name}`, name its folder, or leave it empty.",
        )
    return Reranker(folder)


def _check(folder: Path) -> None:
    """Sentence-transformers would give any model a new head with random weights."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures = [str(each) for each in config.get("architectures") or []]
        labels = int(config.get("num_labels") or len(config.get("id2label") or ()) or 2)
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError("is not a reranker: it has no config.json that can be read", where=str(folder)) from None
    if not any(each.endswith("ForSequenceClassification") for each in architectures) or labels != 1:
        raise UserError(
            "is not a reranker: it does not give one score for a question and a passage",
            where=str(folder),
            do="Choose a sentence-transformers CrossEncoder with one output.",
        )
