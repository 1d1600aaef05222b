"""Near-duplicates: MinHash signatures of word triples, grouped by bands of them.

The signatures are rensa's. The groups are made here, by sorting, because what is needed of them is
which earlier row a row repeats, in little memory: 1,000,000 rows are 512 MB of signatures and one
band's keys at a time.

Rows with other numbers in them are no near-duplicates, however alike their words are: they are
other exercises of one template. Nor are rows that ask and answer something else about one text.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from rensa import RMinHash
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.data.mixture.words import Texts, grams, key, starts_within

Signatures = npt.NDArray[np.uint32]

SHINGLE = 3
PERMUTATIONS, ENDING_PERMUTATIONS = 128, 64
_SEED = 42
_RECALL = 0.9
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def signatures(texts: Texts, permutations: int = PERMUTATIONS) -> Signatures:
    """One row of so many numbers per text; zeros for one of fewer than `SHINGLE` words, which is no
    near-duplicate of anything.
    """
    shingles = grams(texts.words, SHINGLE)[starts_within(texts.offsets, SHINGLE)]
    counts = np.maximum(np.diff(texts.offsets) - (SHINGLE - 1), 0)
    offsets = np.zeros(len(counts) + 1, np.uint64)
    np.cumsum(counts, out=offsets[1:])
    digests = RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets, permutations, _SEED)
    found = np.array(digests.to_rows(), np.uint32).reshape(len(counts), permutations)
    found[counts == 0] = 0
    return found


def ending_signatures(texts: Texts) -> Signatures:
    """One row of `ENDING_PERMUTATIONS` numbers for what each row asks and answers. Texts of fewer
    than `SHINGLE` words are alike if they are equal, else not at all.
    """
    found = signatures(texts, ENDING_PERMUTATIONS)
    for place in np.flatnonzero(np.diff(texts.offsets) < SHINGLE):
        words = texts.words[texts.offsets[place] : texts.offsets[place + 1]]
        found[place] = key(" ".join(map(str, words.tolist()))) & 0xFFFFFFFF
    return found


def figures(text: str) -> int:
    """A hash of the numbers in a text, in their order."""
    return key(" ".join(_NUMBER.findall(text)))


def similar(found: Signatures, one: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """The estimated Jaccard similarity of each text to one."""
    shares: npt.NDArray[np.float64] = (found == one).mean(axis=1)
    return shares


def clusters(found: Signatures, threshold: float) -> npt.NDArray[np.int64]:
    """A number per text, equal where there may be near-duplicates: texts whose estimated Jaccard
    similarity is at least ``threshold``, and whatever hangs together by such. Two texts of a
    cluster can be far apart.
    """
    able = np.flatnonzero(found.any(axis=1))
    pairs = [
        _verified(*_candidates(found, able, start, rows), found, threshold)
        for start, rows in _bands(threshold)
    ]
    left = np.concatenate([pair[0] for pair in pairs])
    right = np.concatenate([pair[1] for pair in pairs])
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(len(found),) * 2)
    numbers: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return numbers


def _bands(threshold: float) -> list[tuple[int, int]]:
    """Begin and width of each band: as wide as finds nine tenths of the pairs at the threshold."""
    widths = [width for width in (32, 16, 8, 4, 2) if _recall(threshold, width) >= _RECALL]
    width = widths[0] if widths else 1
    return [(start, width) for start in range(0, PERMUTATIONS, width)]


def _recall(similarity: float, width: int) -> float:
    missed: float = (1 - similarity**width) ** (PERMUTATIONS // width)
    return 1 - missed


def _candidates(
    found: Signatures, able: npt.NDArray[np.int64], start: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of texts that agree in a band: each with the first of its group, and with the one
    before it.
    """
    band = np.ascontiguousarray(found[able, start : start + width])
    keys = band[:, 0].astype(np.uint64)
    for place in range(1, width):
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys += band[:, place]
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
    begins = np.ones(len(order), np.bool_)
    begins[same] = False
    group = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    later, first, before = order[same], order[group[same]], order[same - 1]
    return able[np.concatenate([first, before])], able[np.concatenate([later, later])]


def _verified(
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    found: Signatures,
    threshold: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The pairs whose signatures agree in a large enough share."""
    kept = np.zeros(len(left), np.bool_)
    for start in range(0, len(left), 20_000):
        part = slice(start, start + 20_000)
        kept[part] = (found[left[part]] == found[right[part]]).mean(axis=1) >= threshold
    return left[kept], right[kept]
