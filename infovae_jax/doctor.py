"""`infovae doctor`: what this machine has, and a line for what is amiss.

Versions, devices, folders of data, the cache and the disk. Nothing is changed but a
file written to the cache folder and deleted again.
"""

import contextlib
import importlib.metadata
import importlib.util
import pathlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import infovae_jax
from infovae_jax import config as config_lib
from infovae_jax.data import cache, tfds_folders
from infovae_jax.errors import StorageError, no_device

LOW_BYTES = 2 << 30
# Module -> the extra that brings it, and what it is for.
OPTIONAL = {
    "safetensors": ("export", "models as safetensors, else as npz"),
    "onnx": ("onnx", "models as ONNX"),
    "huggingface_hub": ("hub", "models to and from a hub"),
    "PIL": ("images", "folders of pictures"),
    "tensorflow_datasets": ("tfds", "datasets by name, as tfds:mnist"),
    "tensorboard": ("tensorboard", "training curves in TensorBoard"),
}


class Finding(NamedTuple):
    """One line: a topic, what was found, and a fix where something is amiss."""

    topic: str
    text: str
    fix: str = ""

    def line(self) -> str:
        """To print."""
        mark = "!" if self.fix else " "
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{mark} {self.topic:<9} {self.text}{fix}"


def examine() -> Iterator[Finding]:
    """All findings, in the order in which they are printed."""
    python = f"Python {platform.python_version()} on {platform.platform()}"
    where = pathlib.Path(infovae_jax.__file__).parent
    yield Finding("package", f"infovae_jax {infovae_jax.__version__} in {where}")
    yield Finding("package", python)
    yield from _versions()
    yield from _devices()
    yield from _configs()
    yield from _data()
    yield from _cache()
    yield from _disk()


def main() -> int:
    """Prints the findings; the exit code is 2 where something is amiss."""
    amiss = 0
    for finding in examine():
        print(finding.line(), flush=True)
        amiss += bool(finding.fix)
    print("all is well" if not amiss else f"{amiss} amiss, marked with !")
    return 2 if amiss else 0


def _versions() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires("infovae_jax") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("versions", "the package is not installed: ranges are not known")
        return
    from packaging.requirements import Requirement

    found = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is None or version not in requirement.specifier:
            text = f"{requirement.name} {version or 'is missing'}"
            yield Finding("versions", text, f"pip install '{requirement}'")
        found.append(f"{requirement.name} {version}")
    yield Finding("versions", ", ".join(found))
    for module, (extra, purpose) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            text = f"without {module} ({purpose}): pip install 'infovae_jax[{extra}]'"
            yield Finding("optional", text)


def _devices() -> Iterator[Finding]:
    import jax

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        found = no_device(error)
        yield Finding("devices", found.what, found.fix)
        return
    kinds = [f"{device.platform}:{device.device_kind}" for device in devices]
    yield Finding("devices", f"{len(devices)} x {kinds[0]}")
    has_nvidia = pathlib.Path("/proc/driver/nvidia/version").exists()
    if has_nvidia and devices[0].platform == "cpu":
        text = "an NVIDIA driver, which jax does not use"
        yield Finding("devices", text, "pip install 'infovae_jax[cuda]'")


def _configs() -> Iterator[Finding]:
    folder = config_lib.packaged_configs()
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "base")
    fix = "" if names else "pip install --force-reinstall --no-deps infovae_jax"
    yield Finding("configs", f"{len(names)} in {folder}", fix)


def _data() -> Iterator[Finding]:
    folder = cache.expanded(tfds_folders.default_data_dir())
    if not folder.is_dir():
        text = f"no datasets prepared in {folder}; digits and files of yours need none"
        yield Finding("data", text)
        return
    try:
        names = sorted(p.name for p in folder.iterdir() if any(p.glob("*/*")))
    except OSError as error:
        text = f"{folder} cannot be read ({error.strerror})"
        yield Finding("data", text, "set TFDS_DATA_DIR to another folder")
        return
    yield Finding("data", f"in {folder}: {', '.join(names) or 'nothing'}")


def _cache() -> Iterator[Finding]:
    try:
        folder = cache.root(None)
    except StorageError as error:
        yield Finding("cache", error.what, error.fix)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}): each start compiles"
        yield Finding("cache", text, "set XDG_CACHE_HOME to a folder of yours")
        return
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    text = f"{sum(sizes) / 1e6:.0f} MB in {folder}, which may be deleted"
    yield Finding("cache", text)


def _disk() -> Iterator[Finding]:
    places = {"here": pathlib.Path.cwd()}
    with contextlib.suppress(StorageError):  # said above
        places["cache"] = cache.root(None)
    for topic, place in places.items():
        while not place.is_dir():
            place = place.parent
        free = shutil.disk_usage(place).free
        fix = "free space, or work elsewhere" if free < LOW_BYTES else ""
        yield Finding("disk", f"{free / 1e9:.1f} GB free for {topic} ({place})", fix)
