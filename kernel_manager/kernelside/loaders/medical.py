"""Medical images and signals."""

from __future__ import annotations

import io
from typing import Any

from .source import MAX_UNPACKED, Source, Unreadable


def load_dicom(source: Source, **options: Any) -> Any:
    """A pydicom ``Dataset``; ``.pixel_array`` has the pixels. Options are those of ``pydicom.dcmread``."""
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(source.read()), **options)
    if not len(dataset):
        raise Unreadable("it has no elements")
    for _ in dataset.iterall():
        pass  # Elements are read when they are looked at: damage shows here and not in the person's next line.
    _check_pixels(source, dataset)
    return dataset


def _check_pixels(source: Source, dataset: Any) -> None:
    rows, columns, depth = (dataset.get(name) for name in ("Rows", "Columns", "BitsAllocated"))
    data = dataset.get("PixelData")
    if data is None or not (rows and columns and depth):
        return
    needed = rows * columns * int(dataset.get("NumberOfFrames") or 1) * int(dataset.get("SamplesPerPixel") or 1) * depth // 8
    if needed > MAX_UNPACKED:
        raise Unreadable(f"its pixels come to {needed >> 20} MB; pydicom reads it from as_='path'")
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and not syntax.is_compressed and len(data) < needed:
        raise Unreadable(f"its pixels need {needed} bytes and it has {len(data)} of them")


def load_nifti(source: Source) -> Any:
    """A nibabel image; ``get_fdata()`` has the voxels, ``affine`` their place."""
    import nibabel

    head = source.head
    kind = nibabel.Nifti2Image if head[4:8] in (b"n+2\0", b"ni2\0") or head[:4] == b"\x1c\x02\0\0" else nibabel.Nifti1Image
    return _nibabel_image(source, kind)


def load_mgh(source: Source) -> Any:
    """A nibabel image."""
    import nibabel.freesurfer

    return _nibabel_image(source, nibabel.freesurfer.MGHImage)


def _nibabel_image(source: Source, kind: Any) -> Any:
    import numpy as np

    image = kind.from_bytes(source.read())
    voxels = int(np.prod([int(side) for side in image.shape], dtype=object)) * image.get_data_dtype().itemsize
    if voxels > MAX_UNPACKED:
        raise Unreadable(f"its voxels come to {voxels >> 20} MB; nibabel.load(load_file(…, as_='path')) reads parts")
    # In memory, so that the object needs no file and damage shows now.
    return kind(np.asanyarray(image.dataobj), image.affine, image.header)


def load_gifti(source: Source) -> Any:
    """A nibabel ``GiftiImage``."""
    import nibabel

    image = nibabel.GiftiImage.from_bytes(source.read())
    if not image.darrays:
        raise Unreadable("it holds no arrays")
    return image


def load_edf(source: Source) -> Any:
    """A DataFrame of the signals by seconds, header in ``.attrs``; signals of several rates give a dict of Series."""
    import numpy as np
    import pandas as pd
    import pyedflib

    _check_edf(source)
    with source.file(".bdf" if source.head[:1] == b"\xff" else ".edf") as path, pyedflib.EdfReader(path) as file:
        labels = file.getSignalLabels()
        series = {}
        for index, label in enumerate(labels):
            values = file.readSignal(index)
            times = np.arange(len(values)) / file.getSampleFrequency(index)
            series[label if label not in series else f"{label} ({index})"] = pd.Series(values, index=pd.Index(times, name="s"))
        header = {**file.getHeader(), "units": {label: file.getPhysicalDimension(index) for index, label in enumerate(labels)}}
    if len({len(values) for values in series.values()}) != 1:
        return series
    frame = pd.DataFrame(series)
    frame.attrs = {name: str(value) if name == "startdate" else value for name, value in header.items()}
    return frame


def _check_edf(source: Source) -> None:
    """The library ends the process on some headers; what they promise is looked at first."""
    head, size = source.head, len(source.read())
    try:
        header, records, signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
        first = 256 + signals * 216
        samples = sum(int(head[first + 8 * index : first + 8 * index + 8]) for index in range(signals))
    except ValueError as exc:
        raise Unreadable("its header has no numbers where they should be") from exc
    if signals < 1 or header != 256 * (signals + 1):
        raise Unreadable("its header is damaged")
    needed = header + max(records, 0) * samples * (3 if head[:1] == b"\xff" else 2)
    if needed > size:
        raise Unreadable(f"it promises {needed} bytes and has {size}")


def load_nrrd(source: Source) -> Any:
    """A NumPy array of the voxels."""
    import nrrd

    with source.file(".nrrd") as path, open(path, "rb") as file:
        header = nrrd.read_header(file)
        size = 1
        for side in header["sizes"]:
            size *= int(side)
        if size * 8 > MAX_UNPACKED:
            raise Unreadable("its voxels come to more than 512 MB")
        return nrrd.read_data(header, file)
