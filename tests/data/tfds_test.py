"""Prepared datasets, read without TensorFlow.

Most tests put a small stand-in for `tensorflow_datasets` in its place. Those that
prepare a dataset of their own need the real one, and those of MNIST need
`INFOVAE_TFDS_DIR` to name a folder in which mnist and fashion_mnist were prepared as
array_record.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import cache, tfds, tfds_folders
from infovae_jax.errors import ConfigError, DataError

HAS_TFDS = importlib.util.find_spec("tensorflow_datasets") is not None
TFDS_DIR = os.environ.get("INFOVAE_TFDS_DIR")
needs_tfds = pytest.mark.skipif(not HAS_TFDS, reason="needs tensorflow_datasets")
needs_mnist = pytest.mark.skipif(
    not (HAS_TFDS and TFDS_DIR), reason="needs INFOVAE_TFDS_DIR and its reader"
)


class Image:
    """Named like TFDS's feature, which is how it is recognised."""


class ClassLabel:
    num_classes = 3
    names = ("a", "b", "c")


class Reader:
    """Examples `{image, label, id}` at random access."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __getitems__(self, keys):
        return [
            {"image": self.images[k], "label": self.labels[k], "id": b"x"} for k in keys
        ]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A stand-in for TFDS with a prepared dataset 'shapes' under `tmp_path`."""
    random = np.random.default_rng(0)
    splits = {
        name: (
            list(random.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)),
            (np.arange(n) % 3).tolist(),
        )
        for name, n in {"train": 20, "test": 6}.items()
    }
    module = types.ModuleType("tensorflow_datasets")
    module.splits = splits
    module.features = {"image": Image(), "label": ClassLabel(), "id": object()}
    module.opened = []

    def builder_from_directory(path):
        module.opened.append(path)
        info = types.SimpleNamespace(features=module.features)
        return types.SimpleNamespace(
            info=info, as_data_source=lambda split: Reader(*module.splits[split])
        )

    def add(name, version="1.0.0", config="", file_format="array_record"):
        folder = tmp_path / "prepared" / name / config / version
        folder.mkdir(parents=True)
        info = {
            "fileFormat": file_format,
            "splits": [
                {"name": split, "shardLengths": [str(len(rows[0]))]}
                for split, rows in module.splits.items()
            ],
        }
        (folder / "dataset_info.json").write_text(json.dumps(info))
        (folder / "features.json").write_text("{}")
        for split in module.splits:
            name_of_file = f"{name}-{split}.{file_format}-00000-of-00001"
            (folder / name_of_file).write_bytes(bytes(100))
        return folder

    module.builder_from_directory = builder_from_directory
    module.list_builders = lambda with_community_datasets: ["mnist", "kmnist"]
    module.add = add
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    module.folder = add("shapes")
    return module


@pytest.fixture
def load(tmp_path, data_config):
    def run(name, **changes):
        changes = {"data_dir": str(tmp_path / "prepared"), **changes}
        return data.load(data_config(f"tfds:{name}", **changes))

    return run


def test_splits_labels_and_names(fake, load, monkeypatch):
    monkeypatch.setattr(tfds, "EXAMPLES_AT_ONCE", 7)
    dataset = load("shapes")
    np.testing.assert_array_equal(dataset.train_x, fake.splits["train"][0])
    np.testing.assert_array_equal(dataset.test_x, fake.splits["test"][0])
    assert dataset.train_y.tolist() == fake.splits["train"][1]
    assert dataset.label_names == ("a", "b", "c")
    assert dataset.spec.num_labels == 3
    assert "tfds:shapes 1.0.0" in dataset.decision


def test_second_load_needs_no_tfds(fake, load, monkeypatch):
    first = load("shapes")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    second = load("shapes")
    assert len(fake.opened) == 1
    np.testing.assert_array_equal(first.train_x, second.train_x)


def test_cache_knows_one_preparation_from_another(fake, load):
    load("shapes")
    record = next(fake.folder.glob("*train*"))
    record.write_bytes(b"1" * 100)
    fake.splits["train"][0][0][:] = 7
    assert (load("shapes").train_x[0] == 7).all()
    assert len(fake.opened) == 2


def test_damaged_cache(fake, load, raises_line, tmp_path):
    load("shapes")
    path = next((tmp_path / "cache").glob("*/test_x.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with raises_line(DataError, 3, "test_x.npy", "SHA-256", "delete the folder"):
        load("shapes")


def test_validation_stands_in_for_test(fake, load):
    fake.splits["validation"] = fake.splits.pop("test")
    fake.add("valid")
    assert len(load("valid").test_x) == 6


def test_train_is_split_where_it_is_alone(fake, load):
    del fake.splits["test"]
    fake.add("alone")
    dataset = load("alone", test_fraction=0.25)
    assert (len(dataset.train_x), len(dataset.test_x)) == (15, 5)
    other = load("alone", test_fraction=0.25, split_seed=1)
    assert not np.array_equal(dataset.test_x, other.test_x)
    together = {bytes(x) for x in [*dataset.train_x, *dataset.test_x]}
    assert together == {bytes(x) for x in fake.splits["train"][0]}


def test_newest_version_unless_said(fake, load):
    fake.add("shapes", version="1.10.0")
    fake.add("shapes", version="1.9.0")
    load("shapes")
    load("shapes:1.9.0")
    assert [path.rsplit("/", 1)[1] for path in fake.opened] == ["1.10.0", "1.9.0"]


def test_configs(fake, load, raises_line):
    fake.add("many", config="small")
    load("many")
    fake.add("many", config="large")
    load("many/large")
    assert "/many/small/" in fake.opened[0]
    assert "/many/large/" in fake.opened[1]
    with raises_line(ConfigError, 2, "large, small", "data.source", "tfds:many/large"):
        load("many")


def test_default_data_dir_is_that_of_tfds(fake, load, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    assert load("shapes", data_dir=None).spec.num_examples == 20


def test_other_feature_names(fake, load):
    fake.features = {"id": object(), "image": Image()}
    assert load("shapes").train_y is None
    found = tfds._feature_keys({"k": ClassLabel(), "p": Image()}, "")
    assert found == ("p", "k", ())


class Number:
    """A feature of one number, as TFDS's Tensor of no shape and Scalar are."""

    def __init__(self, dtype=np.int64):
        self.shape, self.np_dtype = (), np.dtype(dtype)


class Labelled(ClassLabel, Number):
    """A ClassLabel is one, too."""


Labelled.__name__ = "ClassLabel"


def sprites_of(fake, splits):
    """Makes the stand-in hold images of 0 and 1 under dSprites's feature names."""

    class Sprites(Reader):
        def __getitems__(self, keys):
            return [
                {
                    "image": self.images[k],
                    "label_shape": self.labels[k],
                    "label_scale": k % 2,
                    "value_scale": 0.5 + 0.5 * (k % 2),
                    "name": b"x",
                }
                for k in keys
            ]

    fake.features = {
        "image": Image(),
        "label_scale": Labelled(),
        "label_shape": Labelled(),
        "value_scale": Number(np.float32),
        "name": object(),
    }
    fake.splits.clear()
    fake.splits.update(splits)
    fake.builder_from_directory = lambda path: types.SimpleNamespace(
        info=types.SimpleNamespace(features=fake.features),
        as_data_source=lambda split: Sprites(*fake.splits[split]),
    )
    fake.add("sprites")


@pytest.fixture
def binary_images():
    random = np.random.default_rng(1)
    return list(random.integers(0, 2, (20, 4, 4, 1), dtype=np.uint8))


def test_numbers_beside_the_image_are_factors(fake, load, monkeypatch, binary_images):
    monkeypatch.setattr(tfds, "EXAMPLES_AT_ONCE", 7)
    sprites_of(fake, {"train": (binary_images, [i % 3 for i in range(20)])})
    first = load("sprites")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for dataset in (first, load("sprites")):
        assert (len(dataset.train_x), len(dataset.test_x)) == (16, 4)
        assert dataset.spec.binary  # 0 and 1, not 0 and 1 / 255
        assert list(dataset.factors) == ["label_scale", "label_shape", "value_scale"]
        np.testing.assert_array_equal(
            dataset.factors["label_shape"][0], dataset.train_y
        )
        # Which image it was is known by its pixels.
        for x, side in ((dataset.train_x, 0), (dataset.test_x, 1)):
            rows = [
                next(i for i, b in enumerate(binary_images) if (255 * b == image).all())
                for image in x
            ]
            np.testing.assert_array_equal(
                dataset.factors["label_scale"][side], np.array(rows) % 2
            )
            np.testing.assert_array_equal(
                dataset.factors["value_scale"][side], 0.5 + 0.5 * (np.array(rows) % 2)
            )
        for words in ("stored as 0 and 255", "is a factor", "value_scale"):
            assert words in dataset.decision


def test_a_value_above_one_among_binary_images(
    fake, load, monkeypatch, binary_images, raises_line
):
    monkeypatch.setattr(tfds, "EXAMPLES_AT_ONCE", 7)
    binary_images[19] = binary_images[19] * np.uint8(9)
    splits = {"train": (binary_images, [0] * 20), "test": (binary_images[:4], [0] * 4)}
    sprites_of(fake, splits)
    with raises_line(DataError, 3, "value 9", "sprites", "prepare"):
        load("sprites")


def test_which_feature_is_the_label():
    def keys(**features):
        return tfds._feature_keys({"image": Image(), **features}, "")

    label = Labelled()
    assert keys(kind=label, id=Number()) == ("image", "kind", ("id",))
    assert keys(label=label, other=label) == ("image", "label", ("other",))
    assert keys(a=label, b=label) == ("image", None, ("a", "b"))
    both = ("label_azimuth", "label_category")
    assert keys(label_azimuth=label, label_category=label) == ("image", both[1], both)
    assert keys(text=object()) == ("image", None, ())
    several = Number()
    several.shape = (2,)
    assert keys(flag=Number(bool), pair=several).factors == ("flag",)


def test_a_factor_that_is_no_number(fake, load, binary_images, raises_line):
    sprites_of(fake, {"train": (binary_images, [0] * 20)})

    class Broken(Reader):
        def __getitems__(self, keys):
            row = {"image": binary_images[0], "label_shape": 0, "label_scale": 0}
            return [{**row, "value_scale": np.nan} for _ in keys]

    fake.builder_from_directory = lambda path: types.SimpleNamespace(
        info=types.SimpleNamespace(features=fake.features),
        as_data_source=lambda split: Broken(*fake.splits[split]),
    )
    with raises_line(DataError, 3, "nan in factor 'value_scale'", "train", "index 0"):
        load("sprites")


def test_tfds_missing(fake, load, raises_line, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for name in ("shapes", "mnist"):
        with raises_line(DataError, 3, "not installed", "infovae_jax[tfds]"):
            load(name)


@pytest.mark.parametrize("missing", ["importlib_resources", "array_record"])
def test_part_of_tfds_missing(load, raises_line, monkeypatch, tmp_path, missing):
    package = tmp_path / "modules" / "tensorflow_datasets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"raise ModuleNotFoundError('no {missing}', name='{missing}')"
    )
    monkeypatch.syspath_prepend(package.parent)
    for name in [n for n in sys.modules if n.split(".")[0] == "tensorflow_datasets"]:
        monkeypatch.delitem(sys.modules, name)
    with raises_line(DataError, 3, missing, "pip install", "data.source"):
        load("mnist")


def test_not_prepared(fake, load, raises_line, tmp_path):
    with raises_line(DataError, 3, "'mnist' is not prepared", "data.data_dir") as info:
        load("mnist")
    folder = tmp_path / "prepared"
    assert (
        'python -c "import tensorflow_datasets as tfds; tfds.builder('
        f"'mnist', data_dir='{folder}', file_format='array_record')"
        '.download_and_prepare()"'
    ) in info.value.line()


def test_version_not_prepared(fake, load, raises_line):
    with raises_line(ConfigError, 2, "9.0.0", "1.0.0", "data.source"):
        load("shapes:9.0.0")


def test_config_not_prepared(fake, load, raises_line):
    fake.add("many", config="small")
    with raises_line(ConfigError, 2, "many/large", "but small is", "data.source"):
        load("many/large")


@pytest.mark.parametrize(
    ("name", "hint"), [("mnits", "'mnist'"), ("shape", "'shapes'"), ("qqqq", "TFDS")]
)
def test_unknown_dataset(fake, load, raises_line, name, hint):
    with raises_line(ConfigError, 2, f"unknown dataset 'tfds:{name}'", hint):
        load(name)


@pytest.mark.parametrize("name", ["", "a b", "../mnist", "mnist:3", "/etc"])
def test_malformed_name(load, raises_line, name):
    with raises_line(ConfigError, 2, "malformed", "data.source", "<config>"):
        load(name)


def test_bucket_is_no_folder(load, raises_line):
    with raises_line(ConfigError, 2, "gs://b", "data.data_dir", "local folder"):
        load("mnist", data_dir="gs://b")


def test_prepared_as_tfrecord(fake, load, raises_line):
    fake.add("old", file_format="tfrecord")
    with raises_line(DataError, 3, "tfrecord", "'old'", "file_format='array_record'"):
        load("old")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_description(fake, load, raises_line, name):
    (fake.folder / name).unlink()
    if name == "dataset_info.json":
        (fake.folder / name).write_text('{"splits": 3}')
    with raises_line(DataError, 3, "description", "shapes", "array_record"):
        load("shapes")


def test_damaged_records(fake, load, raises_line):
    fake.splits["train"] = (fake.splits["train"][0], [])
    with raises_line(DataError, 3, "damaged or cut", "IndexError", "prepare"):
        load("shapes")


def test_empty_split(fake, load, raises_line):
    fake.splits["test"] = ([], [])
    fake.add("hollow")
    with raises_line(DataError, 3, "empty split 'test'", "hollow", "prepare"):
        load("hollow")


def test_no_train_split(fake, load, raises_line):
    fake.splits = {"a": fake.splits["train"], "b": fake.splits["test"]}
    fake.add("odd")
    with raises_line(DataError, 3, "['a', 'b']", "odd", "train"):
        load("odd")


def test_no_image(fake, load, raises_line):
    fake.features = {"label": ClassLabel(), "id": object()}
    with raises_line(DataError, 3, "no image", "['id', 'label']", "Image"):
        load("shapes")


def test_mixed_sizes(fake, load, raises_line):
    fake.splits["train"][0][9] = np.zeros((5, 4, 1), np.uint8)
    with raises_line(
        DataError, 3, "example 0 is (4, 4, 1)", "example 9 is (5, 4, 1)", "image_size"
    ):
        load("shapes")


@pytest.mark.parametrize("label", [-1, 3])
def test_label_out_of_range(fake, load, raises_line, label):
    fake.splits["train"][1][5] = label
    with raises_line(DataError, 3, f"label {label}", "0..2", "shapes"):
        load("shapes")


def described(name):
    path = tfds_folders.pathlib.Path("somewhere", name)
    return tfds_folders.Prepared(name, "default", "1.0.0", path, {}, "command", "0")


@pytest.mark.parametrize("name", tfds.KNOWN_STATISTICS)
@pytest.mark.parametrize("other", tfds.KNOWN_STATISTICS)
def test_images_of_another_dataset(raises_line, name, other):
    mean, std = tfds.KNOWN_STATISTICS[other]
    found = {"mean": list(mean), "std": list(std or (0.247, 0.243, 0.262))}
    if name == other:
        tfds.check_statistics(described(name), found)
        return
    with raises_line(DataError, 3, f"'{name}'", f"({'those of ' + other}?)", "delete"):
        tfds.check_statistics(described(name), found)


def test_statistics_are_held_to_their_tolerance(raises_line):
    near = {"mean": [0.1307 + 0.004], "std": [0.3081 - 0.004]}
    tfds.check_statistics(described("mnist"), near)
    for found in ({**near, "mean": [0.1367]}, {**near, "std": [0.3141]}):
        with raises_line(DataError, 3, "other images", "mnist", "extract folder"):
            tfds.check_statistics(described("mnist"), found)
    tfds.check_statistics(described("shapes"), {"mean": [9.0], "std": [9.0]})


def test_swapped_images_are_refused_and_not_cached(fake, load, raises_line, tmp_path):
    fake.add("mnist")
    for _ in range(2):
        with raises_line(DataError, 3, "'mnist' holds other images", "delete"):
            load("mnist")
    assert list((tmp_path / "cache").iterdir()) == []


def test_swapped_images_in_a_cache_are_refused(fake, load, raises_line, monkeypatch):
    fake.add("mnist")
    with monkeypatch.context() as patch:
        patch.setattr(tfds, "KNOWN_STATISTICS", {})
        load("mnist")
    with raises_line(DataError, 3, "'mnist' holds other images", "delete"):
        load("mnist")


OWN_SPRITES = """
import io, sys
import numpy as np, PIL.Image
import tensorflow_datasets as tfds

COUNTS = {'shape': 3, 'scale': 6, 'orientation': 40, 'x_position': 32, 'y_position': 32}

class Dsprites(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('2.0.0')
    def _info(self):
        features = {'image': tfds.features.Image(shape=(64, 64, 1))}
        for name, count in COUNTS.items():
            features['label_' + name] = tfds.features.ClassLabel(num_classes=count)
            features['value_' + name] = tfds.features.Tensor(shape=[], dtype=np.float32)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features))
    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples()}
    def _generate_examples(self):
        random = np.random.default_rng(0)
        for i in range(50):
            row = {k: int(random.integers(n)) for k, n in COUNTS.items()}
            pixels = np.zeros((64, 64), np.uint8)
            pixels[row['y_position'], row['x_position']] = 1
            picture = io.BytesIO()
            PIL.Image.fromarray(pixels).save(picture, 'PNG')
            picture.seek(0)
            example = {'image': picture}
            for name, value in row.items():
                example['label_' + name] = value
                example['value_' + name] = value / COUNTS[name]
            yield i, example

Dsprites(data_dir=sys.argv[1], file_format='array_record').download_and_prepare()
assert 'tensorflow' not in sys.modules
"""

OWN_BUILDER = """
import sys
import numpy as np, PIL.Image
import tensorflow_datasets as tfds

class TinyShapes(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')
    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({
            'picture': tfds.features.Image(shape=(8, 8, 1)),
            'kind': tfds.features.ClassLabel(names=['round', 'edgy'])}))
    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(20, 0),
                'validation': self._generate_examples(6, 1)}
    def _generate_examples(self, count, seed):
        random = np.random.default_rng(seed)
        for i in range(count):
            pixels = random.integers(0, 255, (8, 8), dtype=np.uint8)
            pixels[0, 0] = i
            yield i, {'picture': PIL.Image.fromarray(pixels), 'kind': i % 2}

TinyShapes(data_dir=sys.argv[1], file_format='array_record').download_and_prepare()
assert 'tensorflow' not in sys.modules
"""

LOAD = """
import json, sys
from ml_collections import ConfigDict
from infovae_jax import data
dataset = data.load(ConfigDict(json.loads(sys.argv[1])))
assert 'tensorflow' not in sys.modules
print(json.dumps({
    'spec': dataset.spec, 'names': dataset.label_names, 'tests': len(dataset.test_x),
    'tfds': 'tensorflow_datasets' in sys.modules,
    'corners': dataset.train_x[:20, 0, 0, 0].tolist(),
    'labels': dataset.train_y[:20].tolist()}))
"""


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def load_apart(config):
    """Loads in another process, which TensorFlow must not enter."""
    return json.loads(run_python(LOAD, config.to_json()).splitlines()[-1])


@pytest.fixture(scope="module")
def own_dataset(tmp_path_factory):
    """A folder with 'tiny_shapes', prepared by TFDS without TensorFlow."""
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("own")
    run_python(OWN_BUILDER, str(folder))
    return folder


@needs_tfds
def test_own_dataset(own_dataset, data_config):
    config = data_config("tfds:tiny_shapes", data_dir=str(own_dataset))
    first, second = load_apart(config), load_apart(config)
    assert first["tfds"]
    assert not second["tfds"]
    assert first["spec"] == [
        [8, 8, 1],
        "uint8",
        "bernoulli",
        20,
        2,
        False,
        256,
        False,
        [],
    ]
    assert first["names"] == ["round", "edgy"]
    assert first["tests"] == 6
    # TFDS stores examples in another order, but image and label stay together.
    assert sorted(first["corners"]) == list(range(20))
    assert first["labels"] == [corner % 2 for corner in first["corners"]]


@needs_tfds
def test_sprites_as_tfds_describes_them(data_config, tmp_path):
    """The names, types and values of dSprites; one point an image says where it is."""
    pytest.importorskip("PIL")
    run_python(OWN_SPRITES, str(tmp_path))
    config = data_config("tfds:dsprites", data_dir=str(tmp_path))
    found = data.load(config)
    assert (len(found.train_x), len(found.test_x)) == (40, 10)
    assert found.spec.shape == (64, 64, 1)
    assert found.spec.num_labels == 3
    assert found.spec.binary
    names = {"shape", "scale", "orientation", "x_position", "y_position"}
    assert set(found.factors) == {f"{a}_{n}" for a in ("label", "value") for n in names}
    for x, side in ((found.train_x, 0), (found.test_x, 1)):
        rows, columns = np.nonzero(x.reshape(-1, 64 * 64))
        np.testing.assert_array_equal(rows, np.arange(len(x)))
        factors = {name: both[side] for name, both in found.factors.items()}
        np.testing.assert_array_equal(columns // 64, factors["label_y_position"])
        np.testing.assert_array_equal(columns % 64, factors["label_x_position"])
        np.testing.assert_allclose(
            factors["value_scale"], factors["label_scale"] / 6, rtol=1e-6
        )
    np.testing.assert_array_equal(found.test_y, found.factors["label_shape"][1])


@needs_tfds
@pytest.mark.parametrize("damage", ["cut", "overwrite", "delete"])
def test_own_dataset_damaged(own_dataset, data_config, raises_line, tmp_path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(own_dataset, folder)
    config = data_config("tfds:tiny_shapes", data_dir=str(folder))
    record = next(folder.glob("tiny_shapes/1.0.0/*train*"))
    content = bytearray(record.read_bytes())
    if damage == "cut":
        record.write_bytes(bytes(content[: len(content) // 2]))
    elif damage == "overwrite":
        content[70:200] = b"x" * 130
        record.write_bytes(bytes(content))
    else:
        record.unlink()
    with raises_line(DataError, 3, "damaged or cut", "tiny_shapes", "array_record"):
        data.load(config)
    assert not (tmp_path / "cache").exists() or not os.listdir(tmp_path / "cache")


@needs_tfds
def test_unknown_to_the_real_tfds(own_dataset, data_config, raises_line):
    with raises_line(ConfigError, 2, "tfds:fashion_mnits", "'fashion_mnist'"):
        data.load(data_config("tfds:fashion_mnits", data_dir=str(own_dataset)))
    with raises_line(DataError, 3, "'mnist' is not prepared", str(own_dataset)):
        data.load(data_config("tfds:mnist", data_dir=str(own_dataset)))


@needs_mnist
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist(data_config, name):
    config = data_config(f"tfds:{name}", data_dir=TFDS_DIR)
    first, second = load_apart(config), load_apart(config)
    assert first["tfds"]
    assert not second["tfds"]
    assert second["spec"] == [[28, 28, 1], "uint8", "bernoulli", 60000, 10, False]
    assert second["tests"] == 10000
    folder = cache.root(config.cache_dir)
    assert len(os.listdir(folder)) == 1


@needs_mnist
def test_fashion_under_the_name_of_mnist(data_config, raises_line, tmp_path):
    folder = tmp_path / "swapped" / "mnist"
    shutil.copytree(os.path.join(TFDS_DIR, "fashion_mnist"), folder)
    for path in folder.glob("*/fashion_mnist-*"):
        path.rename(path.with_name(path.name.replace("fashion_mnist", "mnist")))
    info = next(folder.glob("*/dataset_info.json"))
    info.write_text(info.read_text().replace('"fashion_mnist"', '"mnist"'))
    with raises_line(DataError, 3, "'mnist' holds other", "those of fashion_mnist?"):
        data.load(data_config("tfds:mnist", data_dir=str(folder.parent)))
