"""The numbers behind a picture, for whoever draws it anew."""

import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure


def of_figure(figure: Figure) -> dict[str, np.ndarray]:
    """All that a figure shows, as arrays named 'axes/what it is/label'.

    Lines are points `[n, 2]`, bars (left edge, bottom, width, height) `[n, 4]`,
    scattered points `[n, 2]`, images what was drawn from black to white, signals
    points `[lines, n, 2]`; `axes/x`, `axes/y` and `axes/title` are the names there.
    """
    arrays: dict[str, np.ndarray] = {}
    for number, axes in enumerate(figure.axes):
        found = [
            *(("line", line.get_label(), line.get_xydata()) for line in axes.lines),
            *(("image", "", image.get_array()) for image in axes.images),
            *_of_collections(axes.collections),
            *_of_bars(axes),
        ]
        for kind, label, values in found:
            label = "" if str(label).startswith("_") else str(label).replace("/", " ")
            name = f"{number}/{kind}" + (f"/{label}" if label else "")
            arrays[_free(name, arrays)] = np.ma.getdata(values)
        arrays |= _names(axes, number)
    return arrays


def _of_collections(collections):
    for collection in collections:
        if isinstance(collection, LineCollection):
            segments = collection.get_segments()
            if len({segment.shape for segment in segments}) == 1:
                yield "signals", collection.get_label(), np.stack(segments)
        elif isinstance(collection, PathCollection):
            yield "points", collection.get_label(), collection.get_offsets()


def _of_bars(axes):
    for container in axes.containers:
        boxes = [(*p.get_xy(), p.get_width(), p.get_height()) for p in container]
        yield "bars", container.get_label(), np.array(boxes).reshape(-1, 4)


def _names(axes, number: int) -> dict[str, np.ndarray]:
    ticks = [
        (name, [label.get_text() for label in labels if label.get_text()])
        for name, labels in (
            ("x_ticks", axes.get_xticklabels()),
            ("y_ticks", axes.get_yticklabels()),
        )
    ]
    texts = [
        ("title", [axes.get_title()]),
        ("x", [axes.get_xlabel()]),
        ("y", [axes.get_ylabel()]),
        *ticks,
    ]
    return {
        f"{number}/{name}": np.array(values) for name, values in texts if any(values)
    }


def _free(name: str, taken: dict) -> str:
    place = 2
    while name in taken:
        name = f"{name.rpartition(' #')[0] or name} #{place}"
        place += 1
    return name
