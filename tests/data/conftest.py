"""Fixtures of the data tests."""

import contextlib

import pytest
from ml_collections import ConfigDict


@pytest.fixture
def data_config(tmp_path):
    """`data_config(source, **changes)`: a complete `config.data`."""

    def make(source, **changes):
        config = ConfigDict(
            {
                "source": str(source),
                "data_dir": None,
                "cache_dir": str(tmp_path / "cache"),
                "test_fraction": 0.2,
                "split_seed": 0,
                "likelihood": "auto",
                "levels": 256,
                "num_train": None,
                "binarize": "none",
                "image_size": None,
                "stream": False,
                "follow_links": False,
                "label_column": None,
                "columns": None,
                "missing": "refuse",
                "scaling": "auto",
            },
            type_safe=False,
        )
        config.update(changes)
        return config

    return make


@pytest.fixture
def raises_line():
    """`with raises_line(Error, code, *parts):` checks code, form and words."""

    @contextlib.contextmanager
    def check(kind, exit_code, *parts):
        with pytest.raises(kind) as caught:
            yield caught
        error = caught.value
        assert error.exit_code == exit_code
        assert error.what
        assert error.where
        assert error.fix
        line = error.line()
        assert line.startswith("error: ")
        assert "\n" not in line
        for part in parts:
            assert part in line

    return check
