"""Audio: samples and their rate."""

from __future__ import annotations

import io
import struct
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable

_FLOAT_SIZE = 4


def load_sound(source: Source, **options: Any) -> tuple[Any, int]:
    """``(samples, rate)``: float32 between −1 and 1, of shape (frames,) or (frames, channels); rate in Hz.

    Options are those of ``soundfile.read`` (``start=``, ``stop=``, ``dtype=`` …).
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(source.read())) as file:
            promised = file.frames
            _check(promised * file.channels)
            rate = int(file.samplerate)
            start, stop = options.pop("start", 0), options.pop("stop", None)
            if start:
                file.seek(start)
            wanted = -1 if stop is None else stop - start
            samples = file.read(promised - start if wanted < 0 else wanted, **{"dtype": "float32", **options})
    except soundfile.LibsndfileError as exc:
        if source.extension in (".mp3", ".ogg", ".oga", ".opus", ".wav", ".wave", ".aif", ".aiff", ".au"):
            return load_with_av(source)
        raise Unreadable(f"it cannot be read: {exc}") from exc
    if len(samples) == 0:
        raise Unreadable("it holds no samples")
    if (promised_bytes := _promised_size(source)) > len(source.read()):
        source.note(f"its header promises {promised_bytes:,} bytes and it has fewer: the file may be cut off")
    elif wanted < 0 and 0 < len(samples) < promised - start < 1 << 40:
        source.note(f"it promises {promised} frames and has {len(samples)}: the file may be cut off")
    return samples, rate


def _promised_size(source: Source) -> int:
    """The size that the header of an uncompressed file gives, in bytes; 0 if it gives none."""
    head = source.head
    if head[:4] in (b"RIFF", b"FORM"):
        size: int = struct.unpack_from("<I" if head[:4] == b"RIFF" else ">I", head, 4)[0]
        return size + 8 if size < 0xFFFFFFF0 else 0
    if head[:4] == b"RF64":
        return int(struct.unpack_from("<Q", head, 20)[0]) + 8
    if head[:4] == b".snd":
        start, size = struct.unpack_from(">II", head, 4)
        return start + size if size != 0xFFFFFFFF else 0
    if head.startswith(b"riff\x2e\x91\xcf\x11"):
        return int(struct.unpack_from("<Q", head, 16)[0])
    return 0


def load_with_av(source: Source) -> tuple[Any, int]:
    """``(samples, rate)`` of the first audio stream: float32, of shape (frames,) or (frames, channels); rate in Hz."""
    import av
    import numpy as np

    blocks, size = [], 0
    with av.open(io.BytesIO(source.read())) as container:
        if not container.streams.audio:
            raise Unreadable("it has no audio stream")
        stream = container.streams.audio[0]
        rate, resampler = int(stream.rate or 0), av.AudioResampler(format="fltp")
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                block = part.to_ndarray()
                size += block.size
                _check(size)
                blocks.append(block)
    if not blocks or not rate:
        raise Unreadable("it holds no samples")
    samples = np.concatenate(blocks, axis=1).T
    return samples[:, 0] if samples.shape[1] == 1 else samples, rate


def _check(samples: int) -> None:
    if samples * _FLOAT_SIZE > MAX_UNPACKED:
        raise Unreadable(f"its samples have more than {MAX_UNPACKED >> 20} MB; start= and stop= read a part, in frames")
