"""What the data are: scanned once, decided, and printed before anything compiles."""

from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import raw_splits
from infovae_jax.data.intake import LARGE, Intake
from infovae_jax.data.scaling import told
from infovae_jax.distributions.likelihoods import LIKELIHOODS, make_likelihood
from infovae_jax.errors import ConfigError, DataError, printable, unknown
from infovae_jax.types import Dataset, DataSpec

BINARIZE = ("none", "threshold", "stochastic")
_NO_TEST = "what is said of the test split is said of the training examples"


class Scan(NamedTuple):
    """A pass over one array, in the range the model sees (uint8 over 255).

    Attributes:
      low: smallest value.
      high: largest value.
      mean: mean value.
      outside: index of the first value outside [0, 1], or None.
      binary: whether all values are 0 or 1.
    """

    low: float
    high: float
    mean: float
    outside: tuple[int, ...] | None
    binary: bool


def scan(x: np.ndarray, name: str, where: str) -> Scan:
    """Reads all of `x` `[n, H, W, C]` once, a few MB at a time.

    Args:
      x: uint8 or float32 images, possibly memory-mapped.
      name: 'train' or 'test', for messages.
      where: names the source in messages.

    Raises:
      DataError: at the first value that is NaN or infinite, with its index.
    """
    top = 255 if x.dtype == np.uint8 else 1
    low, high, total = np.inf, -np.inf, 0.0
    outside, binary = None, True
    for start, part in raw_splits.chunks(x):
        if x.dtype != np.uint8:
            finite = np.isfinite(part)
            if not finite.all():
                index = raw_splits.first_index(~finite, start)
                place = raw_splits.place(index, x.shape[1:])
                examples = raw_splits.called(x.shape[1:])
                raise DataError(
                    f"{x[index]} at {place} of the {name} {examples}",
                    where,
                    f"remove or repair that {examples[:-1]}",
                )
        low, high = min(low, part.min()), max(high, part.max())
        total += float(part.sum(dtype=np.float64))
        if outside is None and (low < 0 or high > top):
            outside = raw_splits.first_index((part < 0) | (part > top), start)
        if binary:
            binary = bool(((part == 0) | (part == top)).all())
    return Scan(
        float(low) / top, float(high) / top, total / x.size / top, outside, binary
    )


def _require_unit_range(
    scans: dict[str, Scan], raw: raw_splits.Raw, key: str, value: str
) -> None:
    shape = raw.train_x.shape[1:]
    for split, result in scans.items():
        if result.outside is not None:
            place = raw_splits.place(result.outside, shape)
            raise ConfigError(
                f"{key}={value} needs data in [0, 1], but they span "
                f"{told(min(s.low for s in scans.values()), 6)} to "
                f"{told(max(s.high for s in scans.values()), 6)}",
                f"first value outside at {place} of the {split} "
                f"{raw_splits.called(shape)}",
                "scale the data to [0, 1], or set data.likelihood='gaussian' and "
                "data.binarize='none'",
            )


def _require_levels(raw: raw_splits.Raw, config: Any) -> None:
    """The grey levels of the data are the ones that `levels` names."""
    top = config.levels - 1
    for name, x in (("train", raw.train_x), ("test", raw.test_x)):
        scale = 255.0 if x.dtype == np.uint8 else 1.0
        for start, part in raw_splits.chunks(x):
            steps = part.astype(np.float64) / scale * top
            off = np.abs(steps - np.round(steps)) > 1e-3
            if off.any():
                index, shape = raw_splits.first_index(off, start), x.shape[1:]
                raise ConfigError(
                    f"value {x[index] / scale:.6g} at {raw_splits.place(index, shape)} "
                    f"of the {name} {raw_splits.called(shape)} is none of "
                    f"{config.levels} levels",
                    "config.data.levels",
                    "give the number of levels that the data have (256 for uint8)",
                )


def _check_factors(raw: raw_splits.Raw) -> None:
    """Factors are finite numbers."""
    for name, both in (raw.factors or {}).items():
        for split, values in zip(("train", "test"), both, strict=True):
            bad = ~np.isfinite(values)
            if bad.any():
                index = int(np.argmax(bad))
                raise DataError(
                    f"{values[index]} in factor '{name}' of the {split} split at "
                    f"index {index}",
                    raw.where,
                    "remove or repair that example, or leave the factor out",
                )


def _scan_both(raw: raw_splits.Raw) -> dict[str, Scan]:
    splits = {"train": raw.train_x, "test": raw.test_x}
    return {name: scan(x, name, raw.where) for name, x in splits.items() if len(x)}


def _bits_as_images(raw: raw_splits.Raw) -> raw_splits.Raw:
    """Bytes that are 0 or 1 throughout mean black and white, not two dark greys."""
    return raw._replace(
        train_x=raw.train_x * np.uint8(255),
        test_x=raw.test_x * np.uint8(255),
        title=f"{raw.title}, 0 and 1 taken as black and white",
    )


def _check_options(raw: raw_splits.Raw, config: Any) -> None:
    """Raises what `decide` says of unknown options and of unlike splits."""
    names = ("auto", *LIKELIHOODS)
    if config.likelihood not in names:
        raise unknown("value", config.likelihood, names, "config.data.likelihood")
    if config.binarize not in BINARIZE:
        raise unknown("value", config.binarize, BINARIZE, "config.data.binarize")
    if (raw.train_x.shape[1:], raw.train_x.dtype) != (
        raw.test_x.shape[1:],
        raw.test_x.dtype,
    ):
        raise DataError(
            f"training examples are {raw.train_x.dtype} {raw.train_x.shape[1:]} but "
            f"test examples {raw.test_x.dtype} {raw.test_x.shape[1:]}",
            raw.where,
            "store both splits with one type, size and number of channels",
        )


def decide(raw: raw_splits.Raw, config: Any) -> Dataset:
    """Judges what a source gave and settles the likelihood.

    Args:
      raw: the two splits in the standard layout.
      config: the `data` part of the configuration; reads `likelihood` and
        `binarize`.

    Returns:
      The `Dataset`, with the decision in words.

    Raises:
      ConfigError: for an unknown `likelihood` or `binarize`, or one that needs
        values in [0, 1] where the data have others.
      DataError: for a NaN or infinite value in images or factors, or splits of unlike
        shape or type.
    """
    _check_options(raw, config)
    _check_factors(raw)
    scans = _scan_both(raw)
    bits = (
        raw.train_x.dtype == np.uint8 and max(s.high for s in scans.values()) == 1 / 255
    )
    if bits:
        raw = _bits_as_images(raw)
        scans = _scan_both(raw)
    judged = scans
    if raw.scaling is not None:  # by the training examples: others may go a bit beyond
        judged = {"train": scans["train"]}
    in_range = all(s.outside is None for s in judged.values())
    if raw.scheme is not None:
        _check_table(raw, config)
    if config.binarize != "none":
        _require_unit_range(scans, raw, "data.binarize", config.binarize)
    name = config.likelihood
    if name == "auto" and raw.scheme is not None:
        name = "mixed"
    if name == "auto":
        name = "bernoulli" if in_range else "gaussian"
        if _is_standardised(raw):
            name = "learned_gaussian"
    spec = DataSpec(
        shape=tuple(int(side) for side in raw.train_x.shape[1:]),
        dtype=str(raw.train_x.dtype),
        likelihood=name,
        num_examples=len(raw.train_x),
        num_labels=raw.num_labels,
        binary=config.binarize != "none" or all(s.binary for s in scans.values()),
        levels=config.levels,
        labels_missing=raw.train_y is not None and bool((raw.train_y < 0).any()),
        blocks=() if raw.scheme is None else raw.scheme.blocks(),
    )
    likelihood = make_likelihood(spec)
    if likelihood.support == (0.0, 1.0):
        _require_unit_range(judged, raw, "data.likelihood", name)
    if likelihood.levels:
        _require_levels(raw, config)
    return Dataset(
        train_x=raw.train_x,
        train_y=raw.train_y,
        test_x=raw.test_x,
        test_y=raw.test_y,
        spec=spec,
        label_names=raw.label_names,
        decision="\n".join(
            map(printable, _decision(raw, config, spec, scans, in_range))
        ),
        factors=raw.factors,
        origin=raw.origin,
        intake=Intake(
            scheme=raw.scheme,
            scaling=raw.scaling,
            divisor=raw.divisor,
            bits=bits,
            low=min(s.low for s in scans.values()),
            high=max(s.high for s in scans.values()),
            image_size=config.image_size,
        ),
        tests_on_training=_tests_on_training(raw),
    )


def _is_standardised(raw: raw_splits.Raw) -> bool:
    return raw.scaling is not None and raw.scaling.kind == "standardize"


def _tests_on_training(raw: raw_splits.Raw) -> bool:
    """Whether every example is in both splits, as nothing was to be held out.

    Those of unknown label are for training alone; see `raw_splits.split_indices`.
    """
    if raw.origin is None:
        return False
    train, test = raw.origin
    if raw.train_y is not None:
        train = train[raw.train_y >= 0]
    return np.array_equal(train, test)


def _check_table(raw: raw_splits.Raw, config: Any) -> None:
    """Raises ConfigError where an option is one of images or of other columns."""
    if config.binarize != "none":
        raise ConfigError(
            "columns of a table are not binarised",
            "config.data.binarize",
            "leave it out; say 'binary' of a column in data.columns",
        )
    others = [c.name for c in raw.scheme.used if c.kind != "numeric"]
    if others and config.likelihood not in ("auto", "mixed"):
        raise ConfigError(
            f"data.likelihood={config.likelihood} for column '{others[0]}', which is "
            "not numeric",
            "config.data.likelihood",
            "use 'auto': each column by its kind",
        )


def _decision(raw, config, spec, scans, in_range) -> list[str]:
    counts = f"{len(raw.train_x)} training and {len(raw.test_x)} test examples"
    if _tests_on_training(raw):
        counts = f"{len(raw.train_x)} training examples, none held out"
    lines = [f"data: {raw.title}"]
    if raw.scheme is not None:
        return lines + _table_decision(raw, config, spec, counts)
    lines.append(f"  {counts}, {spec.dtype} {raw_splits.shaped(spec.shape)}")
    if _tests_on_training(raw):
        lines.append(f"  {_NO_TEST}")
    scaled = ", after scaling by 1/255" if spec.dtype == "uint8" else ""
    low = min(s.low for s in scans.values())
    high = max(s.high for s in scans.values())
    lines.append(
        f"  range: min {told(low)}, max {told(high)}, mean "
        f"{scans['train'].mean:.4f} of the training "
        f"{raw_splits.called(spec.shape)}{scaled}"
    )
    if spec.dtype == "uint8" and raw_splits.are_rows(spec.shape) and high < 0.5:
        lines.append(
            "  note: whole numbers are taken for grey levels up to 255; of columns "
            "that are none set data.scaling='standardize', or give a table with "
            "counts as 'count'"
        )
    if max(-low, high) > LARGE:
        lines.append(
            "  note: values so large may make training diverge; scale them to [0, 1], "
            "or store grey levels as uint8"
        )
    lines.append("  labels: " + _labels_text(raw))
    if raw.factors:
        lines.append("  factors, for evaluation only: " + ", ".join(raw.factors))
    if config.likelihood != "auto":
        why = "as data.likelihood says"
    elif _is_standardised(raw):
        why = "as values were standardised"
    elif in_range:
        why = "as all values lie in [0, 1]"
    else:
        why = "as values lie outside [0, 1]"
    lines.append(f"  likelihood: {spec.likelihood}, {why}")
    lines.append("  meaning: " + _meaning(spec, config.binarize))
    return lines


def _table_decision(raw, config, spec: DataSpec, counts: str) -> list[str]:
    scheme = raw.scheme
    lines = [
        f"  {counts}; {len(scheme.used)} of {len(scheme.columns)} columns are used, as "
        f"{scheme.width} numbers a row; data.columns is the last word",
        *scheme.decision(),
    ]
    if _tests_on_training(raw):
        lines.append(f"  {_NO_TEST}")
    lines.append("  labels: " + _labels_text(raw))
    why = "each column by its kind"
    if config.likelihood != "auto":
        why = "as data.likelihood says"
    lines.append(f"  likelihood: {spec.likelihood}, {why}")
    lines.append("  meaning: " + _meaning(spec, config.binarize))
    if make_likelihood(spec).is_density:
        lines.append(
            "  of the numbers in their own units: log p(x) less "
            f"{scheme.log_factor():.4g} nats a row"
        )
    return lines


def _labels_text(raw: raw_splits.Raw) -> str:
    if raw.train_y is None:
        return "none"
    known = raw.train_y[raw.train_y >= 0]
    counts = np.bincount(known, minlength=raw.num_labels)
    names = raw.label_names or tuple(str(i) for i in range(raw.num_labels))
    there = [(n, c) for n, c in zip(names, counts, strict=True) if c]
    text = f"{len(there)} classes"
    if len(known) < len(raw.train_y):
        text += f", unknown of {len(raw.train_y) - len(known)} training examples"
        if len(raw.test_y) and raw.test_y.min() >= 0:
            text += " and of no test example"
    absent = [n for n, c in zip(names, counts, strict=True) if not c]
    if absent:
        more = ", ..." if len(absent) > 5 else ""
        text += f" (no training examples of {', '.join(absent[:5])}{more})"
    if raw.num_labels <= 20:
        each = ", ".join(f"{n} {c}" for n, c in there)
        return f"{text}; training examples of each: {each}"
    of_each = [c for _, c in there]
    return f"{text}; {min(of_each)} to {max(of_each)} training examples each"


def _meaning(spec: DataSpec, binarize: str) -> str:
    if spec.likelihood != "bernoulli" or not spec.binary:
        meaning = make_likelihood(spec).meaning
        if raw_splits.called(spec.shape) == "rows":
            meaning = meaning.replace("pixel", "column")
        return meaning
    how = {
        "none": "the values are 0 or 1",
        "threshold": "the values are set to 1 where x >= 0.5, else to 0",
        "stochastic": "the values are Bernoulli draws with mean x, new at every "
        "training step and fixed in evaluation",
    }
    return f"{how[binarize]}, so this is a true log-likelihood"
