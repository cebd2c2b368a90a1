"""What lies in the way of a run's files, or is no file at all, is said in one line."""

import os
import shutil

import numpy as np
import pytest
from bad_inputs_test import assert_refused
from small_run import command

from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import rows
from infovae_jax.training import checkpoint, files, metrics, sharding


def in_place_of(path, kind):
    """A folder where a file belongs, or the other way round."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "folder":
        (path / "inside").mkdir(parents=True)
    else:
        path.write_text("")


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("codes.npz", "folder", "encode"),
        ("samples.npz", "folder", "sample"),
        (".lock", "folder", "train"),
        ("intake.json", "folder", "train"),
        ("checkpoints", "file", "train"),
        ("checkpoints", "file", "encode"),
        (checkpoint.QUARANTINE, "file", "train"),
        (metrics.FILE, "folder", "train"),
    ],
)
def test_what_lies_in_the_way_of_a_runs_files(
    run_main_inprocess, there, name, kind, mode
):
    in_place_of(there / "run" / name, kind)
    arguments = [f"--mode={mode}", f"--workdir={there / 'run'}"]
    if mode == "train":
        arguments = command(there)
        for step in ("4", "6"):  # of which none is complete: they would be set aside
            manifest = there / "run" / "checkpoints" / step / checkpoint.MANIFEST
            if name == checkpoint.QUARANTINE:
                manifest.unlink()
    done = run_main_inprocess(*arguments)
    assert_refused_after_output(done, (4, 6), str(there / "run"))


def assert_refused_after_output(done, codes, *parts):
    """As `assert_refused`, where training may have said that it compiles."""
    assert done.returncode in codes, done.stderr
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    (line,) = errors
    assert line.count("; ") >= 2
    assert "Traceback" not in done.stderr
    assert all(part in line for part in parts), line


def test_an_input_that_is_a_pipe_is_not_waited_for(run_main_inprocess, there):
    for name in ("x.npy", "x.npz", "x.csv"):
        os.mkfifo(there / f"pipe-{name}")
        done = run_main_inprocess(
            "--mode=predict",
            f"--workdir={there / 'run'}",
            f"--input={there / f'pipe-{name}'}",
            f"--output={there / 'o.csv'}",
        )
        assert_refused(done, 3, f"pipe-{name}")


@pytest.mark.parametrize(
    "path", ["~no_such_user/x.npz", "~no_such_user", "x" * 300 + ".npz", "/dev/null"]
)
def test_an_input_that_is_nowhere(run_main_inprocess, there, path):
    run = f"--workdir={there / 'run'}"
    output = f"--output={there / 'o.csv'}"
    done = run_main_inprocess("--mode=predict", run, f"--input={path}", output)
    assert_refused(done, 3, path)


def test_files_of_any_bytes_get_their_row(run_main_inprocess, there, monkeypatch):
    """A table is of letters: what is none stands there as an escape."""
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(rows, "unusual_below", lambda saved: 0.0)
    folder = there / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    names = [os.fsdecode(b"%d\xe9\x1b[31m.png" % number) for number in range(3)]
    for name in names:
        image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / name)
    for suffix in ("csv", "npz"):
        done = run_main_inprocess(
            "--mode=predict",
            f"--workdir={there / 'run'}",
            f"--input={folder}",
            f"--output={there / f'o.{suffix}'}",
        )
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
    text = (there / "o.csv").read_text(encoding="utf-8")
    assert "0\\udce9\\x1b[31m.png" in text
    assert len(np.load(there / "o.npz")["file"]) == 3


def test_a_text_that_names_such_a_file_is_written(tmp_path):
    files.write_atomically(tmp_path / "page.html", "<p>caf\udce9</p>")
    assert (tmp_path / "page.html").read_text() == "<p>caf\\udce9</p>"


def test_a_batch_that_the_devices_cannot_share(monkeypatch):
    monkeypatch.setattr(sharding.jax, "devices", lambda: [0, 1, 2])
    for batch_size, near in ((5, "give 3 or 6"), (2, "give 3")):
        with pytest.raises(ConfigError, match=near):
            sharding.make_mesh(0, batch_size)


def test_a_key_of_a_saved_run_that_differs_is_refused(run_main_inprocess, there):
    """With the command that trained it the run's own values may stand there."""
    arguments = [a for a in command(there, "--mode=encode") if "evaluation" not in a]
    done = run_main_inprocess(*arguments)
    assert done.returncode == 0, done.stderr
    for more in ("--config.train.num_epochs=4", "--config.model.latent_dim=3"):
        key, _, value = more.partition("=")
        assert_refused(run_main_inprocess(*arguments, more), 2, key, value, "leave it")


def test_a_folder_in_which_no_checkpoint_can_be_written(run_main_inprocess, there):
    """Of bytes that are no UTF-8: what writes the arrays takes no other paths."""
    folder = there / os.fsdecode(b"caf\xe9")
    done = run_main_inprocess(*command(there, f"--workdir={folder}"))
    assert_refused(done, 2, "not UTF-8", "caf\\udce9")
    assert not folder.exists()
