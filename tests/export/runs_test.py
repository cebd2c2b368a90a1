"""The export of a trained run takes new data as the command line does."""

import numpy as np
import pytest
import small_run

import infovae_jax
from infovae_jax import commands
from infovae_jax.data import new_rows
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.evaluation import encode_split
from infovae_jax.export import folder as export_folder
from infovae_jax.export import numpy_runtime
from infovae_jax.training.saved import open_model

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 4, 4)).astype(np.uint8)
BITS = (GREY > 127).astype(np.uint8)
# What a run was trained on, and further arrays that it takes.
CASES = {
    "bits": (BITS, [BITS, BITS.astype(np.int64), BITS == 1, BITS * 255, BITS * 1.0]),
    "bools": (BITS == 1, [BITS == 1, BITS * 255, BITS * 1.0]),
    "bytes": (GREY, [GREY, GREY.astype(np.int32), BITS == 1, GREY / 255.0, BITS * 1.0]),
    "fractions": (GREY / 255.0, [GREY / 255.0, GREY, GREY.astype(int), BITS == 1]),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`exported(name)`: a small run, and the folder of its export."""
    made = {}

    def make(name):
        if name in made:
            return made[name]
        place = tmp_path_factory.mktemp(name)
        np.save(place / "x.npy", CASES[name][0])
        small_run.train_for_new_data(
            place / "run", small_run.make_config(place / "x.npy")
        )
        commands.export(str(place / "run"), str(place / "model"))
        made[name] = place / "run", place / "model"
        return made[name]

    return make


@pytest.mark.parametrize("name", CASES)
def test_every_way_gives_the_codes_of_the_command_line(exported, name, tmp_path):
    workdir, folder = exported(name)
    saved = open_model(str(workdir)).chosen(None)
    loaded = infovae_jax.load(workdir)
    loaded.save(tmp_path / "again")
    models = loaded, infovae_jax.load(folder), infovae_jax.load(tmp_path / "again")
    alone = numpy_runtime.load(folder)
    for x in CASES[name][1]:
        stored = new_rows.as_stored(x, saved.run.dataset, "X")
        codes = encode_split(saved.run, saved.params, stored).mean
        for model in models:
            np.testing.assert_allclose(model.transform(x), codes, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone.encode(x), codes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_what_is_unlike_the_data_is_refused_by_all(exported, name):
    workdir, folder = exported(name)
    saved = open_model(str(workdir)).chosen(None)
    models = infovae_jax.load(workdir), infovae_jax.load(folder)
    strange = [-GREY.astype(int), GREY.astype(np.uint16) * 256]
    strange.append(np.maximum(GREY, 2) * 1.0)
    for x in strange:
        with pytest.raises(DataError):
            new_rows.as_stored(x, saved.run.dataset, "X")
        for model in models:
            with pytest.raises(ValueError, match="value|pixel"):
                model.transform(x)
        with pytest.raises(ValueError, match="x holds"):
            numpy_runtime.load(folder).encode(x)


@pytest.mark.parametrize(
    ("had", "x", "told"),
    [
        ({"divisor": 16.0}, GREY[:1] * 1.0, "from 0 to 1, which is to divide x by 16"),
        ({"divisor": 16.0}, GREY[:1], "divide x by 16, and give floats"),
        ({}, GREY[:1] * 1.0, "give values from 0 to 1$"),
        ({"low": -2.0}, GREY[:1], "give floats from -2 to 1, as in training"),
    ],
)
def test_numpy_says_what_to_do_with_other_values(exported, had, x, told):
    alone = numpy_runtime.load(exported("fractions")[1])
    alone._run_had = alone._run_had | had
    with pytest.raises(ValueError, match=told):
        alone.encode(x)


def test_what_a_row_means_does_not_depend_on_the_others(exported):
    """Floats are fractions, whether or not another row of the call is above 1."""
    workdir, folder = exported("bytes")
    rows = np.concatenate([np.ones((1, 4, 4)), np.full((1, 4, 4), 2.0)])
    for take in (
        infovae_jax.load(workdir).transform,
        infovae_jax.load(folder).transform,
        numpy_runtime.load(folder).encode,
    ):
        assert np.isfinite(take(rows[:1])).all()
        with pytest.raises(ValueError, match="value"):
            take(rows)


def test_programs_do_not_know_bits(exported, tmp_path):
    loaded = infovae_jax.load(exported("bits")[0])
    with pytest.raises(ConfigError, match="0 and 255"):
        loaded.save(tmp_path / "m", ("stablehlo",))
    assert not (tmp_path / "m").exists()


def test_a_model_that_is_replaced_is_said(exported, capsys):
    workdir, folder = exported(next(iter(CASES)))
    commands.export(str(workdir), str(folder))
    assert f"replaced the model in {folder}: " in capsys.readouterr().out


def test_a_model_that_numpy_cannot_run_is_said(exported, capsys, monkeypatch, tmp_path):
    workdir, folder = exported(next(iter(CASES)))
    assert not export_folder.not_in_numpy(folder)

    def fail(functions, params):
        raise ValueError("each row is drawn anew")

    monkeypatch.setattr(export_folder, "_graphs", fail)
    commands.export(str(workdir), str(tmp_path / "m"))
    assert "note: NumPy alone cannot run this model: each" in capsys.readouterr().out
    assert not (tmp_path / "m" / "numpy_runtime.py").exists()
    infovae_jax.load(tmp_path / "m")
