"""Turning texts into vectors with a sentence-transformers model. It knows nothing of documents or indexes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UserError
from workbench.models.load import be_offline, device, fingerprint

if TYPE_CHECKING:
    import numpy as np


class Embedder:
    """A sentence-transformers model on the best device here; bfloat16 on processors that compute in it.

    Attributes:
        folder: where it lies.
        name: the folder's name.
        fingerprint: tells its weights from all others.
        dimensions: length of a vector.
        max_tokens: tokens of a text that the model reads, its special tokens included; the rest would be cut off.

    Raises:
        UserError: the folder does not hold a sentence-transformers model.
    """

    def __init__(self, folder: Path) -> None:
        be_offline()
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        place = device()
        # 2.2 times faster than float32 where it is native, cosine to it 0.9999; without it, it is emulated and slow.
        native = place == "cpu" and torch.cpu._is_avx512_bf16_supported()
        try:
            self._model = SentenceTransformer(
                str(folder),
                device=place,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.bfloat16 if native else torch.float32},
            )
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"the embedding model cannot be loaded: {reason}", where=str(folder)) from None
        self.folder, self.name = folder, folder.name
        self.fingerprint = fingerprint(folder)
        self.dimensions = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 512)
        if not self.dimensions:
            raise UserError("is not an embedding model", where=str(folder), do="Choose a sentence-transformers model.")

    def encode(self, texts: Sequence[str], *, batch_size: int = 8, query: bool = False) -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts; what lies beyond `max_tokens` of one is not read.
            batch_size: texts at once; small ones are faster on a few cores.
            query: they are questions, not passages (some models have a prompt for each).

        Returns:
            float32 [n, dimensions], every row finite and of length 1.

        Raises:
            UserError: the model gave a vector that is not finite or is zero.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        encode = self._model.encode_query if query else self._model.encode_document
        vectors = np.asarray(encode(list(texts), batch_size=batch_size, show_progress_bar=False), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise UserError("the embedding model gave a vector that is not finite", where=self.name)
        return vectors / lengths

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not counted."""
        return len(self._model.tokenizer.encode(text, add_special_tokens=False))

    @property
    def passage_tokens(self) -> int:
        """Tokens of a passage that the model reads: `max_tokens` without its special tokens and its prompt, if any."""
        prompts = self._model.prompts
        name = next((each for each in ("document", "passage", "corpus") if each in prompts), None)
        prompt = prompts.get(name or self._model.default_prompt_name or "") or ""
        return self.max_tokens - len(self._model.tokenizer.encode(prompt))
