from __future__ import annotations

import io
import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from registry import data, sample, text

RED = Image.new("RGB", (32, 24), (200, 30, 30))
RED.paste((10, 200, 30), (0, 0, 16, 24))


def is_red(image: Any) -> Any:
    pixel = image.convert("RGB").getpixel((24, 12))
    return image.size == (32, 24) and abs(pixel[0] - 200) < 16 and pixel[1] < 60


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    RED.convert(mode).save(stream, form, **options)
    return stream.getvalue()


def keep(extensions: str, form: str, mode: str = "RGB", check: Any = is_red, **options: Any) -> None:
    sample(extensions, check)(lambda path: path.write_bytes(saved(form, mode, **options)))


def is_size(image: Any) -> Any:
    return image.size == (32, 24)


keep("png apng", "PNG")
keep("jpg jpeg jpe jfif", "JPEG")
keep("mpo", "MPO")
keep("gif", "GIF")
keep("bmp dib", "BMP")
keep("tif tiff btf", "TIFF")
keep("webp", "WEBP", lossless=True)
keep("avif", "AVIF", quality=95)
keep("jp2 j2k jpx jpc j2c jpf", "JPEG2000")
keep("tga", "TGA")
keep("pcx", "PCX")
keep("ppm pnm", "PPM")
keep("pgm", "PPM", "L", is_size)
keep("pbm", "PPM", "1", is_size)
keep("pfm", "PPM", "F", is_size)
keep("qoi", "QOI")
keep("dds", "DDS")
keep("sgi rgb rgba bw", "SGI")
keep("xbm", "XBM", "1", is_size)
keep("im", "IM")
keep("msp", "MSP", "1", is_size)
keep("blp", "BLP", "P", is_size)
keep("spider", "SPIDER", "F", is_size)


@sample("ico", lambda image: image.size == (32, 32))
def ico(path: Path) -> None:
    Image.new("RGB", (32, 32), (9, 9, 9)).save(path, "ICO", sizes=[(32, 32)], bitmap_format="bmp")


@sample("cur", lambda image: image.size == (32, 32))
def cursor(path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 9, 9)).save(stream, "ICO", sizes=[(32, 32)], bitmap_format="bmp")
    raw = bytearray(stream.getvalue())
    raw[2] = 2
    path.write_bytes(raw)


sample("icns", lambda image: image.size[0] >= 32)(lambda path: Image.new("RGBA", (128, 128), (9, 9, 9, 255)).save(path, "ICNS"))

PLANES = np.asarray(RED).transpose(2, 0, 1).tobytes()
data("psd", b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 24, 32, 8, 3) + struct.pack(">III", 0, 0, 0) + b"\0\0" + PLANES, is_red)
data("ras sun", struct.pack(">8I", 0x59A66A95, 32, 24, 24, 32 * 24 * 3, 1, 0, 0) + np.asarray(RED)[:, :, ::-1].tobytes(), is_red)
text(
    "xpm",
    '/* XPM */\nstatic char *a[] = {\n"2 2 2 1",\n"a c #C81E1E",\n"b c #000000",\n"ab",\n"ba"\n};\n',
    lambda image: image.size == (2, 2) and image.convert("RGB").getpixel((0, 0)) == (200, 30, 30),
)


@sample("heic heif hif", is_red)
def heif(path: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(RED).save(str(path), format="HEIF", quality=95)


def dng() -> bytes:
    import tifffile

    stream = io.BytesIO()
    pixels = (np.arange(64 * 64) % 4000).reshape(64, 64).astype("uint16")
    matrix = [v for n in (1, 0, 0, 0, 1, 0, 0, 0, 1) for v in (n, 1)]
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50707, "B", 4, (1, 1, 0, 0), True),
        (271, "s", 0, "Maker", True),
        (272, "s", 0, "Model", True),
        (50708, "s", 0, "Maker Model", True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50717, "I", 1, 4095, True),
        (50721, "2i", 9, matrix, True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(stream, pixels, photometric=32803, extratags=tags, metadata=None, software=None)
    return stream.getvalue()


# LibRaw goes by content: the makers' own formats differ in their tags, and none but DNG can be written here.
sample(
    "dng cr2 nef arw orf rw2 pef srw raf", lambda image: image.mode == "RGB" and image.size[0] in range(56, 65), note="developed"
)(lambda path: path.write_bytes(dng()))

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="24"><rect width="32" height="24" fill="#c81e1e"/></svg>'
text("svg", SVG, is_red)
sample("svgz", is_red)(lambda path: path.write_bytes(__import__("gzip").compress(SVG.encode())))

# audio
RATE = 8000
TONE = (np.sin(np.arange(4000) * 2 * math.pi * 440 / RATE) / 2).astype("float32")


def is_tone(content: Any) -> Any:
    samples, rate = content
    mono = samples if samples.ndim == 1 else samples[:, 0]
    spectrum = np.abs(np.fft.rfft(mono))
    peak = np.argmax(spectrum) * rate / len(mono)
    return abs(peak - 440) < 25 and len(mono) / rate > 0.4


SOUND_FORMS = {
    "wav wave": ("WAV", "PCM_16"), "aif aiff": ("AIFF", "PCM_16"), "aifc": ("AIFF", "ULAW"), "au snd": ("AU", "PCM_16"), "flac": ("FLAC", "PCM_16"),
    "ogg oga": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"), "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"), "rf64": ("RF64", "PCM_16"), "voc": ("VOC", "PCM_16"), "sf": ("IRCAM", "PCM_16"),
    "pvf": ("PVF", "PCM_16"), "paf": ("PAF", "PCM_16"), "avr": ("AVR", "PCM_16"), "svx iff": ("SVX", "PCM_16"), "xi": ("XI", "DPCM_16"),
    "htk": ("HTK", "PCM_16"), "nist sph": ("NIST", "PCM_16"),
}  # fmt: skip


def sound(extensions: str, form: str, subtype: str) -> None:
    def check(content: Any) -> bool:
        return is_tone(content) if form != "XI" else len(content[0]) == 4000

    @sample(extensions, check)
    def write(path: Path) -> None:
        import soundfile

        soundfile.write(path, TONE, RATE, format=form, subtype=subtype)


for names, (form, subtype) in SOUND_FORMS.items():
    sound(names, form, subtype)

CODECS = {
    "m4a m4b": ("ipod", "aac", 44100), "aac": ("adts", "aac", 44100), "wma": ("asf", "wmav2", 44100), "ac3": ("ac3", "ac3", 44100),
    "eac3": ("eac3", "eac3", 44100), "mp2": ("mp2", "mp2", 44100), "mka": ("matroska", "aac", 44100), "amr": ("amr", "libopencore_amrnb", 8000),
}  # fmt: skip


def packed_sound(extensions: str, form: str, codec: str, rate: int) -> None:
    @sample(extensions, is_tone)
    def write(path: Path) -> None:
        import av

        tone = (np.sin(np.arange(rate) * 2 * math.pi * 440 / rate) / 2).astype("float32")
        with av.open(str(path), "w", format=form) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = 64000 if rate > 8000 else 12200
            resampler = av.AudioResampler(
                format=stream.codec_context.format, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 1024
            )
            frame = av.AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
            frame.rate = rate
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))


for names, (form, codec, rate) in CODECS.items():
    packed_sound(names, form, codec, rate)


def midi() -> bytes:
    track = b"\0\xff\x51\x03\x07\xa1\x20\0\x90\x3c\x40\x60\x80\x3c\x40\0\x90\x3e\x50\x60\x3e\0\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track


data(
    "mid midi kar",
    midi(),
    lambda f: (
        f[["note", "start", "end"]].values.tolist() == [[60, 0.0, 1.0], [62, 1.0, 2.0]] and f.attrs["beats_per_minute"] == [120.0]
    ),
)

VIDEOS = {
    "mp4 m4v": ("mp4", "libx264"), "mov": ("mov", "libx264"), "f4v": ("f4v", "libx264"), "3gp": ("3gp", "mpeg4"), "3g2": ("3g2", "mpeg4"),
    "mkv": ("matroska", "libx264"), "webm": ("webm", "libvpx-vp9"), "avi": ("avi", "mpeg4"), "mpg mpeg vob": ("mpeg", "mpeg2video"),
    "wmv asf": ("asf", "wmv2"), "flv": ("flv", "flv"), "m2ts mts": ("mpegts", "mpeg2video"), "ogv": ("ogg", "libvpx"), "mxf": ("mxf", "mpeg2video"),
}  # fmt: skip


def is_video(video: Any) -> Any:
    return (video.width, video.height) == (64, 48) and video.codec != "" and 0.5 < video.duration < 1.5


def video(extensions: str, form: str, codec: str) -> None:
    @sample(extensions, is_video)
    def write(path: Path) -> None:
        import av

        with av.open(str(path), "w", format=form) as container:
            stream = container.add_stream(codec, rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(20):
                pixels = np.full((48, 64, 3), number * 12, dtype="uint8")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))


for names, (form, codec) in VIDEOS.items():
    video(names, form, codec)


@sample(
    "ttf otf ttc otc woff woff2", lambda font: font["name"].getDebugName(1) == "DejaVu Sans" and font.getBestCmap()[65] == "A"
)
def font(path: Path) -> None:
    import matplotlib
    from fontTools import subset
    from fontTools.ttLib import TTCollection

    original = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    options = subset.Options()
    loaded = subset.load_font(str(original), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="AB")
    subsetter.subset(loaded)
    if path.suffix in (".ttc", ".otc"):
        collection = TTCollection()
        collection.fonts = [loaded]
        collection.save(path)
        return
    loaded.flavor = path.suffix[1:] if path.suffix.startswith(".woff") else None
    loaded.save(path)
