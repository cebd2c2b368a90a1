"""A run's folder from someone else reads and writes nothing that was not named."""

import json

import numpy as np
import pytest
from bad_inputs_test import assert_refused
from small_run import move, read_config

from infovae_jax.config import sealed
from infovae_jax.errors import ConfigError
from infovae_jax.training import origin


@pytest.mark.parametrize("change", ["no mark", "another user's", "another place"])
def test_data_are_read_where_they_are_named(
    run_main_inprocess, there, monkeypatch, change
):
    mark = there / "run" / origin.MARK
    command = ("--mode=encode", f"--workdir={there / 'run'}")
    if change == "no mark":
        mark.unlink()
    elif change == "another user's":
        monkeypatch.setenv("XDG_STATE_HOME", str(there / "state"))
    else:
        whole = mark.read_bytes()
        move(there / "run", there / "x.npz", there / "secret.npz")
        (there / "x.npz").rename(there / "secret.npz")
        mark.write_bytes(whole)
    source = read_config(there / "run").data.source
    refused = run_main_inprocess(*command)
    assert_refused(refused, 2, f"not made here names data.source={source}")
    done = run_main_inprocess(*command, f"--config.data.source={source}")
    assert done.returncode == 0, done.stderr
    assert (there / "run" / "codes.npz").exists()


def test_data_that_were_moved_are_named_anew(run_main_inprocess, there):
    (there / "x.npz").rename(there / "y.npz")
    command = ("--mode=encode", f"--workdir={there / 'run'}")
    assert_refused(run_main_inprocess(*command), 3, "no file", "or new data by --input")
    done = run_main_inprocess(*command, f"--config.data.source={there / 'y.npz'}")
    assert done.returncode == 0, done.stderr
    np.savez(there / "y.npz", x=np.zeros((60, 4, 4), np.float32))
    done = run_main_inprocess(*command, f"--config.data.source={there / 'y.npz'}")
    assert_refused(done, 3, "not those of step 6")


def test_a_mark_is_made_with_the_users_key_alone(there, monkeypatch):
    config = read_config(there / "run")
    origin.require_named(there / "run", config, {})
    mark = there / "run" / origin.MARK
    record = sealed.read(mark)
    record["code"] = record["code"][:-1] + "x"
    mark.write_text(json.dumps(sealed.seal(record)))
    with pytest.raises(ConfigError, match="not made here"):
        origin.require_named(there / "run", config, {})
    (there / "a file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(there / "a file"))
    origin.mark(there / "run", config)  # No key: no mark, and no error.
    with pytest.raises(ConfigError, match="not made here"):
        origin.require_named(there / "run", config, {})
    origin.require_named(there / "run", config, {"data.source": "x.npz"})


def test_names_of_datasets_need_no_mark(tmp_path, make_config):
    origin.require_named(tmp_path, make_config("vae"), {})


def test_what_is_written_follows_no_link(run_main_inprocess, there):
    (there / "outside").mkdir()
    names = ["codes.npz", "samples.npz", "samples.png"]
    for name in names:
        (there / "outside" / name).write_text("kept")
        (there / "run" / name).symlink_to(there / "outside" / name)
    for mode in ("encode", "sample"):
        done = run_main_inprocess(f"--mode={mode}", f"--workdir={there / 'run'}")
        assert done.returncode == 0, done.stderr
    for name in names:
        assert (there / "outside" / name).read_text() == "kept"
        assert not (there / "run" / name).is_symlink()
