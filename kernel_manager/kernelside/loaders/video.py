"""Video: metadata and frames. Every look at it is taken in a process with limits."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .sound import load_with_av
from .source import Source, Unreadable

_MAX_FRAMES = 64
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Video:
    """What a video says about itself. ``duration`` is in seconds, ``fps`` in frames a second; 0 where it does not say."""

    path: Path
    name: str
    width: int
    height: int
    fps: float
    duration: float
    codec: str
    audio: tuple[str, ...]
    metadata: dict[str, str]

    def frame(self, seconds: float = 0.0) -> Any:
        """The frame shown at ``seconds``, a Pillow image."""
        return self._frames([seconds])[0]

    def frames(self, count: int = 8) -> list[Any]:
        """``count`` frames, at most 64, evenly spread over the duration, Pillow images."""
        count = max(1, min(count, _MAX_FRAMES))
        return self._frames([self.duration * (index + 0.5) / count for index in range(count)])

    def _frames(self, moments: list[float]) -> list[Any]:
        from . import limited

        try:
            frames: list[Any] = limited.load("video:read_frames", Source(self.path, self.name), {"moments": moments})
        except Unreadable as exc:
            raise ValueError(f"{self.name}: {exc}") from None
        return frames


def load_video(source: Source) -> Any:
    """A :class:`Video`; its first frame is decoded to see that it can be. What has no pictures opens as audio."""
    import av

    with av.open(io.BytesIO(source.read())) as container:
        if not container.streams.video:
            if container.streams.audio:
                source.note("it has sound and no pictures: these are its samples and their rate")
                return load_with_av(source)
            raise Unreadable("it has no video stream")
        stream = container.streams.video[0]
        frame = next(container.decode(stream), None)
        if frame is None or frame.width * frame.height > _MAX_PIXELS:
            raise Unreadable("no frame of it can be decoded" if frame is None else "its frames are absurdly large")
        duration = float(container.duration or 0) / av.time_base
        if not duration and stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        last = _last_moment(container)
        if duration > 1 / 4 and last < duration * 3 / 4:
            source.note(f"it promises {duration:.1f} s and has {last:.1f} s: the file may be cut off")
        return Video(
            path=source.path,
            name=source.name,
            width=frame.width,
            height=frame.height,
            fps=round(float(stream.average_rate or 0), 3),
            duration=max(0.0, duration),
            codec=stream.codec_context.name,
            audio=tuple(audio.codec_context.name for audio in container.streams.audio),
            metadata={str(key): str(value)[:1000] for key, value in container.metadata.items()},
        )


def _last_moment(container: Any) -> float:
    """Until when the packets go, in seconds, without decoding them."""
    import av

    last = 0.0
    try:
        for packet in container.demux(video=0):
            if packet.pts is not None:
                last = max(last, float(packet.pts * packet.time_base))
    except av.FFmpegError:
        return last
    return last


def read_frames(source: Source, *, moments: list[float]) -> list[Any]:
    """The frames at ``moments`` (ascending, seconds), as Pillow images."""
    import av

    images: list[Any] = []
    with av.open(io.BytesIO(source.read())) as container:
        stream = container.streams.video[0]
        last = None
        for frame in container.decode(stream):
            moment = float(frame.time or 0)
            while len(images) < len(moments) and moment > moments[len(images)] and last is not None:
                images.append(last.to_image())
            last = frame
            if len(images) == len(moments):
                return images
    if last is None:
        raise Unreadable("no frame of it can be decoded")
    return images + [last.to_image()] * (len(moments) - len(images))
