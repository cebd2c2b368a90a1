"""Checkpoints: exact, verified, refused where they do not fit."""

import contextlib
import errno
import json
import os
import pathlib
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_run import damage

from infovae_jax.config import sealed
from infovae_jax.errors import CheckpointError, StorageError
from infovae_jax.training import checkpoint, files
from infovae_jax.types import TrainState


def make_state(width=3, seed=0):
    params = {"dense": {"kernel": jnp.full((2, width), 0.1), "bias": jnp.zeros(width)}}
    return TrainState(
        step=jnp.int32(seed),
        params=params,
        model_state={"decoder": {"statistics": {"mean": jnp.float32(0.7)}}},
        opt_state=optax.adam(1e-3).init(params),
        hparams={"kl_z": jnp.float32(0.3)},
        key=jax.random.key(seed),
    )


@pytest.fixture
def saved(tmp_path):
    checkpoints = checkpoint.Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step, make_state(seed=step))
    return checkpoints


def test_restore_is_bit_equal_into_the_same_structure(saved):
    state = saved.restore(jax.eval_shape(make_state))
    expected = make_state(seed=30)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for found, wanted in zip(
        jax.tree.leaves(state), jax.tree.leaves(expected), strict=True
    ):
        if jax.dtypes.issubdtype(wanted.dtype, jax.dtypes.prng_key):
            found, wanted = map(jax.random.key_data, (found, wanted))
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


def test_only_the_newest_are_kept(saved):
    assert saved.steps() == [20, 30]
    assert int(saved.restore(jax.eval_shape(make_state), 20).step) == 20


def test_a_folder_without_manifest_is_not_a_checkpoint(saved):
    (saved.folder / "30" / checkpoint.MANIFEST).unlink()
    assert saved.latest() == 20
    saved.save(30, make_state(seed=30))
    assert saved.latest() == 30


def test_flipped_bit_and_missing_file_are_named(saved):
    path = saved.folder / "30"
    hashes = json.loads((path / checkpoint.MANIFEST).read_text())["sha256"]
    name = next(iter(hashes))
    original = (path / name).read_bytes()
    (path / name).write_bytes(bytes([original[0] ^ 1]) + original[1:])
    with pytest.raises(CheckpointError, match="differs from its SHA-256") as caught:
        saved.restore(jax.eval_shape(make_state))
    assert "step 20" in caught.value.line()
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        saved.restore(jax.eval_shape(make_state))


def test_another_model_is_refused_with_the_paths(saved):
    with pytest.raises(CheckpointError, match=r"dense.*\(2, 3\), wanted \(2, 4\)"):
        saved.restore(jax.eval_shape(lambda: make_state(width=4)))


def test_a_newer_format_is_refused(saved):
    path = saved.folder / "30" / checkpoint.MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(sealed.seal({**manifest, "format_version": 99})))
    with pytest.raises(CheckpointError, match="newer"):
        saved.restore(jax.eval_shape(make_state))


def test_nothing_there(saved):
    shutil.rmtree(saved.folder)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        saved.restore(jax.eval_shape(make_state))


def test_atomic_write_leaves_no_temporary_file(tmp_path):
    files.write_atomically(tmp_path / "a.json", "{}")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_everything_is_on_the_disk_before_the_manifest(tmp_path, monkeypatch):
    """As far as a test without power cuts can see: what was synced, in which order."""
    synced, replaced = [], []
    monkeypatch.setattr(files, "sync", lambda path: synced.append(pathlib.Path(path)))
    replace = pathlib.Path.replace

    def noted(self, target):
        replaced.append((pathlib.Path(target), list(synced)))
        return replace(self, target)

    monkeypatch.setattr(pathlib.Path, "replace", noted)
    checkpoints = checkpoint.Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(10, make_state())
    manifest = checkpoints.folder / "10" / checkpoint.MANIFEST
    before = dict(replaced)[manifest]
    inside = {p for p in manifest.parent.rglob("*") if p != manifest}
    assert inside <= set(before)
    assert {manifest.parent, checkpoints.folder} <= set(before)
    assert manifest.parent in synced[len(before) :]


@pytest.mark.parametrize(
    "manifest",
    [
        '{"sha256": ["a"], "format_version": 1, "step": 30}',
        '{"sha256": {}, "format_version": "x", "step": 30}',
        '{"sha256": {}, "format_version": 1e999}',
        '{"sha256": {}, "format_version": 1, "identity": {"config": 5, "data": {}}}',
        '{"sha256": {}, "format_version": 1, "remembered": [1]}',
        "[" * 100_000,
        "null",
        "",
    ],
    ids=[
        *("list", "version", "infinite version", "identity", "remembered"),
        *("deep", "null", "empty"),
    ],
)
def test_a_manifest_that_is_none(saved, manifest):
    (saved.folder / "30" / checkpoint.MANIFEST).write_text(manifest)
    with pytest.raises(CheckpointError, match="manifest"):
        saved.restore(jax.eval_shape(make_state))


def test_a_flipped_bit_in_a_manifest_is_damage(saved):
    """Wherever it is: in a digest, the version, or the name of the check value."""
    path = saved.folder / "30" / checkpoint.MANIFEST
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        path.write_bytes(bytes(flipped))
        try:
            found = saved.manifest(30)
        except checkpoint.DamagedCheckpoint:
            continue
        path.write_bytes(whole)  # A space that became another: nothing is changed.
        assert found == saved.manifest(30), position


def test_names_that_are_no_steps_are_passed_over(saved):
    for name in ("00000999", "\u00b2", "41x"):
        shutil.copytree(saved.folder / "30", saved.folder / name)
    (saved.folder / "50").symlink_to(saved.folder / "30")
    (saved.folder / "60").write_text("")
    assert saved.steps() == [20, 30]


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_what_lies_in_place_of_a_checkpoint_is_replaced(saved, kind):
    path = saved.folder / "40"
    if kind == "file":
        path.write_text("")
    else:
        path.symlink_to(saved.folder / ("20" if kind == "link" else "nowhere"))
    assert saved.steps() == [20, 30]
    saved.save(40, make_state(seed=40))
    assert saved.steps() == [30, 40]
    assert not path.is_symlink()
    assert int(saved.restore(jax.eval_shape(make_state)).step) == 40


def test_text_does_not_follow_a_link(tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / f"x.json.{os.getpid()}.tmp").symlink_to(tmp_path / "elsewhere")
    files.write_atomically(tmp_path / "x.json", "new")
    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert (tmp_path / "x.json").read_text() == "new"
    assert not (tmp_path / "x.json").is_symlink()


def test_damaged_ones_are_passed_over_when_asked(saved):
    damage(saved.folder / "30")
    told = []
    target = jax.eval_shape(make_state)
    state = saved.restore(target, pass_over=lambda *what: told.append(what))
    assert int(state.step) == 20
    ((step, error),) = told
    assert (step, error.exit_code) == (30, 4)
    (saved.folder / "20" / checkpoint.MANIFEST).write_text("")
    told.clear()
    with pytest.raises(checkpoint.DamagedCheckpoint, match="SHA-256"):
        saved.restore(target, pass_over=lambda *what: told.append(what))
    assert told == []  # None is good: nothing is moved.


def test_one_of_another_model_is_not_passed_over(saved):
    target = jax.eval_shape(lambda: make_state(width=4))
    with pytest.raises(CheckpointError, match="another model"):
        saved.restore(target, pass_over=lambda *what: pytest.fail("passed over"))


def test_set_aside_twice(saved):
    assert saved.set_aside(30).name == "30"
    saved.save(30, make_state(seed=30))
    assert saved.set_aside(30).name == "30-1"
    names = sorted(p.name for p in (saved.folder.parent / "quarantine").iterdir())
    assert (names, saved.steps()) == (["30", "30-1"], [20])


def test_a_step_that_is_not_there_is_named_with_those_that_are(saved):
    with pytest.raises(CheckpointError, match=r"of step 25 \(there are \[20, 30\]\)"):
        saved.restore(jax.eval_shape(make_state), 25)


@pytest.mark.parametrize("moment", ["verify", "_read_step"])
def test_a_reader_beside_a_trainer_that_deletes_what_it_reads(
    saved, monkeypatch, moment
):
    """The trainer saves two more while the reader is between two files."""
    whole = getattr(checkpoint.Checkpoints, moment)
    trainer = checkpoint.Checkpoints(saved.folder)
    calls = []

    def slow(self, *arguments):
        if not calls:
            calls.append(arguments)
            for step in (40, 50):
                trainer.save(step, make_state(seed=step))
        return whole(self, *arguments)

    monkeypatch.setattr(checkpoint.Checkpoints, moment, slow)
    state = saved.restore(jax.eval_shape(make_state))
    assert int(state.step) == 50


def test_what_is_deleted_is_no_checkpoint_any_more_from_the_first_file_on(
    saved, monkeypatch
):
    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        saved.save(40, make_state(seed=40))
    assert saved.steps() == [30, 40]


@contextlib.contextmanager
def files_of_at_most(size):
    """A real fault inside a save: the system refuses to write longer files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [40, 300, 900])
def test_a_fault_of_the_disk_inside_a_save(saved, size):
    with files_of_at_most(size), pytest.raises(StorageError) as caught:
        saved.save(40, make_state(seed=40))
    line = caught.value.line()
    assert caught.value.exit_code == 6
    assert len(line) < 400
    for part in ("File too large", str(saved.folder / "40"), "bytes free"):
        assert part in line
    saved.sweep()  # A write that was under way may come late.
    assert sorted(path.name for path in saved.folder.iterdir()) == ["20", "30"]
    assert int(saved.restore(jax.eval_shape(make_state)).step) == 30
    saved.save(50, make_state(seed=50))
    assert saved.steps() == [30, 50]


def test_what_is_still_written_into_is_swept(saved, monkeypatch):
    cut, remove, late = saved.folder / "40.orbax-checkpoint-tmp", shutil.rmtree, [1, 2]
    (cut / "d").mkdir(parents=True)

    def as_if_written(path):
        if late:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", late.pop())
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", as_if_written)
    saved.sweep()
    assert not late
    assert not cut.exists()


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS]
)
@pytest.mark.parametrize("moment", ["sync", "write_record"])
def test_a_fault_after_orbax_has_written(saved, monkeypatch, number, moment):
    def fail(*arguments):
        raise OSError(number, "fails")

    with monkeypatch.context() as patch, pytest.raises(StorageError) as caught:  # noqa: PT012
        patch.setattr(files, moment, fail)
        saved.save(40, make_state(seed=40))
    assert os.strerror(number) in caught.value.line()
    assert saved.steps() == [20, 30]
    assert not (saved.folder / "40").exists()


def test_a_bug_inside_a_save_is_no_fault_of_the_disk(saved, monkeypatch):
    def fail(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr(files, "sync", fail)
    with pytest.raises(TypeError, match="a bug"):
        saved.save(40, make_state(seed=40))


def test_a_run_whose_folder_is_gone_is_not_half_made_anew(tmp_path):
    checkpoints = checkpoint.Checkpoints(tmp_path / "run" / "checkpoints")
    with pytest.raises(StorageError, match="is gone") as caught:
        checkpoints.save(10, make_state())
    assert caught.value.exit_code == 6
    assert not (tmp_path / "run").exists()
