"""What benchmarks refuse before they measure, each in one line."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from infovae_jax.benchmark import everything, memory, profile, start, waits
from infovae_jax.errors import ConfigError
from infovae_jax.report import ledger, pages, record


def refused(main, arguments, words, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == ConfigError.exit_code
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert words in told.err
    assert not told.out


@pytest.mark.parametrize("main", [start.main, profile.main, waits.main, memory.main])
@pytest.mark.parametrize(
    ("out", "words"),
    [("nowhere/x.json", "no folder"), ("", "unknown file"), ("x.json", "a folder")],
)
def test_a_place_where_nothing_can_be_written(
    main, out, words, tmp_path, capsys, monkeypatch
):
    (tmp_path / "x.json").mkdir()
    refused(main, [f"--out={tmp_path / out}"], words, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((200, 28, 28), np.uint8), "200 training images are no batch"),
        (np.linspace(-1, 1, 300 * 784).reshape(300, 28, 28), "values from -1 to 1"),
    ],
)
def test_images_that_cannot_be_trained_on(images, words, tmp_path, capsys, monkeypatch):
    path = tmp_path / "x.npz"
    labels = np.zeros(len(images), np.int64)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    for main in (waits.main, everything.main):
        refused(main, [f"--data={path}"], words, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("main", "fields"),
    [
        (start.main, {"command": "", "environment": {}, "against": "", "phases": []}),
        (waits.main, {"command": "", "environment": {}, "epochs": 1, "curves": {}}),
        (memory.main, {"command": "", "environment": {}, "data": {}}),
    ],
)
def test_tables_of_files_with_other_contents(
    main, fields, tmp_path, capsys, monkeypatch
):
    last = {start.main: "configs", waits.main: "tasks", memory.main: "ways"}[main]
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"format": record.FORMAT, **fields, last: [1]}))
    refused(main, [f"--table={path}"], "no table", capsys, monkeypatch)


def test_images_that_the_disk_has_no_room_for(capsys, monkeypatch):
    refused(memory.main, [f"--rows={10**16}"], "GiB are free", capsys, monkeypatch)


def test_an_interruption_ends_in_one_line_and_ends_the_process_it_waits_for(
    tmp_path, capsys, monkeypatch
):
    started = []

    class Process(subprocess.Popen):
        def __init__(self, command, **options):
            super().__init__([sys.executable, "-c", "input()"], **options)
            started.append(self)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(start.subprocess, "Popen", Process)
    monkeypatch.setattr(start.os, "wait4", interrupted)
    monkeypatch.setattr(start, "prepare", lambda root: None)
    monkeypatch.setattr("sys.argv", ["start", "--configs=vae"])
    with pytest.raises(SystemExit) as stopped:
        start.main()
    assert stopped.value.code == 130
    assert len(capsys.readouterr().err.splitlines()) == 1
    # What asks for the commit ended by itself before.
    assert started[-1].poll() == -signal.SIGKILL
    assert all(process.poll() is not None for process in started)


def test_a_ledger_of_nothing(tmp_path, capsys, monkeypatch):
    flags = [f"--results={tmp_path}/none", f"--out={tmp_path}/x.md"]
    refused(ledger.main, flags, "no folder", capsys, monkeypatch)
    assert not (tmp_path / "x.md").exists()


def test_pages_of_damaged_results_stay_as_they_are(tmp_path, capsys, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text("{")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    refused(pages.main, [], "a.json", capsys, monkeypatch)
    refused(pages.main, ["--nope"], "--nope", capsys, monkeypatch)
