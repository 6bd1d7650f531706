"""Whether pictures show the same, measured in a kernel: NumPy and Pillow live there, and the pictures are not ours to trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from kernel_manager.sessions.session import Session
from notebooks_export.comparison import PicturePair

#: How different two pictures may be: 0 is the same, 1 is as different as each is from an empty one.
TOLERANCE = 0.08
#: Base64 characters of pairs that are sent to the kernel at once, and of one pair that is compared at all.
_BATCH = 4_000_000
_LARGEST = 16_000_000

_DISTANCES = """\
def _distances(pairs):
    import base64, io, json
    import numpy
    from PIL import Image

    def pixels(text):
        image = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        return paper.convert("RGB")

    def distance(one, other):
        one, other = pixels(one), pixels(other)
        if any(abs(a - b) > max(2, 0.02 * a) for a, b in zip(one.size, other.size)):
            return 1.0
        size = tuple(max(1, min(a, b) // 2) for a, b in zip(one.size, other.size))
        one, other = (numpy.asarray(image.resize(size, Image.Resampling.BOX), float) for image in (one, other))
        ground = numpy.median(one.reshape(-1, 3), axis=0)
        ink = max(numpy.abs(one - ground).sum(), numpy.abs(other - ground).sum(), 1.0)
        return float(min(1.0, numpy.abs(one - other).sum() / ink))

    found = []
    for one, other in pairs:
        try:
            found.append(distance(one, other))
        except Exception:
            found.append(1.0)
    print(json.dumps(found))


_distances(%s)
"""


async def show_the_same(session: Session, pairs: Sequence[PicturePair]) -> list[bool]:
    """For each pair whether the pictures show the same; ``session`` is one that nobody's code has run in."""
    found: list[bool] = []
    for batch in _batches(pairs):
        small = [pair for pair in batch if len(pair.one) + len(pair.other) <= _LARGEST]
        distances = iter(await _distances_of(session, small))
        found += [pair in small and next(distances, 1.0) <= TOLERANCE for pair in batch]
    return found


async def _distances_of(session: Session, pairs: Sequence[PicturePair]) -> list[float]:
    if not pairs:
        return []
    result = await session.execute(_DISTANCES % json.dumps([[pair.one, pair.other] for pair in pairs]))
    text = "".join(output["text"] for output in result.outputs if output.get("name") == "stdout")
    try:
        return [float(distance) for distance in json.loads(text)]
    except (ValueError, TypeError):
        return []


def _batches(pairs: Sequence[PicturePair]) -> Iterator[list[PicturePair]]:
    batch: list[PicturePair] = []
    size = 0
    for pair in pairs:
        length = len(pair.one) + len(pair.other)
        if batch and size + length > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(pair)
        size += length
    if batch:
        yield batch
