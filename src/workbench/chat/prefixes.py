"""What earlier prompts began with: the keys and values of their blocks, kept so that they need not be read again.

It knows nothing of models: a block is some tensors, under a name that tells all tokens up to its end.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Sequence

from torch import Tensor

BLOCK = 128
"""Tokens that are read, and kept or dropped, together. Of 64, each costs a fifth more time to read than of 256; of 256,
more of them are read again at every turn."""
ROOM = 1 << 30
"""Bytes of blocks that are kept: 23,000 tokens of SmolLM2-135M."""

Block = tuple[Tensor, ...]


class Prefixes:
    """Blocks of any number of prompts and decoders; those not used for longest go first. For one thread.

    Prompts that begin alike share blocks: the panes of a chat, chats that take turns, a system prompt.
    """

    def __init__(self, room: int = ROOM) -> None:
        """With room for `room` bytes."""
        self._room = room
        self._blocks: dict[tuple[int, bytes], Block] = {}  # by owner and name; the least recently used first
        self._owners = itertools.count()
        self.bytes = 0
        """What the blocks take."""

    def owner(self) -> int:
        """A number for a decoder: blocks of one are of no use to another."""
        return next(self._owners)

    def put(self, owner: int, name: bytes, block: Block) -> None:
        """Keep a block."""
        if (owner, name) in self._blocks:
            return
        self._blocks[owner, name] = block
        self.bytes += _size(block)
        while self.bytes > self._room:
            self._drop(next(iter(self._blocks)))

    def find(self, owner: int, names: Sequence[bytes]) -> list[Block]:
        """The blocks of the first names, up to one that is not kept."""
        found = list(itertools.takewhile(lambda name: (owner, name) in self._blocks, names))
        blocks = [self._blocks[owner, name] for name in found]
        for name in reversed(found):  # the later ones go first: they are of no use without the earlier ones
            self._blocks[owner, name] = self._blocks.pop((owner, name))
        return blocks

    def forget(self, owner: int) -> None:
        """Drop all blocks of a decoder."""
        for key in [key for key in self._blocks if key[0] == owner]:
            self._drop(key)

    def _drop(self, key: tuple[int, bytes]) -> None:
        self.bytes -= _size(self._blocks.pop(key))


def names(tokens: Sequence[int]) -> list[bytes]:
    """The names of the whole blocks of a prompt, each from all its tokens so far."""
    digest, found = hashlib.sha256(), []
    for end in range(BLOCK, len(tokens) + 1, BLOCK):
        digest.update(array("q", tokens[end - BLOCK : end]).tobytes())
        found.append(digest.digest())
    return found


def _size(block: Block) -> int:
    return sum(tensor.nbytes for tensor in block)
