"""Memory by phase: peaks of the phases that use it, resident and streaming in turns."""

import numpy as np
import pytest

from infovae_jax.benchmark import budget, memory
from infovae_jax.data import numpy_files
from infovae_jax.errors import ConfigError
from infovae_jax.report import memory as report
from infovae_jax.report import record

TRACED = "/jax/core/compile/jaxpr_trace_duration"
COMPILED = "/jax/core/compile/backend_compile_duration"


def test_memory_is_of_the_phase_that_asked_for_it():
    """What is imported or compiled is for it, but for the training's programs."""
    peaks = iter(range(1, 100))
    found = budget.Budget(lambda: (0.0, 0.0), lambda: next(peaks))
    with found.phase("import"):  # 1
        found.stage_began(COMPILED)  # 2
        found.stage_ended(COMPILED, 0.0)  # 3
    # 4, and before the training 5: nothing had begun.
    with found.phase("train"):
        found.stage_began(TRACED)  # 6
        found.stage_ended(TRACED, 0.0)  # 7
        with found.phase("measure"):  # 8 of the training
            found.stage_began(COMPILED)  # 9
            found.stage_ended(COMPILED, 0.0)  # 10
        # 11 of the measuring, 12 of the training, 13 of the rest
    with found.phase("evaluate"), found.phase("import"):  # 14
        pass  # 15, 16, and in the end 17
    assert found.record()["peaks"] == {
        "start": 5,
        "train": 12,
        "compile": 7,
        "measure": 11,
        "rest": 17,
        "evaluate": 16,
    }


def test_a_peak_is_that_since_the_last_look():
    if budget.peak_bytes() is None:
        pytest.skip("this system does not tell peaks")
    before = budget.peak_bytes()
    np.ones(2**25, np.uint8)
    assert budget.peak_bytes() > before + 2**24
    assert budget.peak_bytes() < before + 2**24


def test_a_system_that_does_not_tell_peaks(monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "_STATUS", tmp_path / "none")
    assert budget.peak_bytes() is None


@pytest.mark.parametrize(("file", "pixels"), [("npy", 16), ("npz", 15)])
def test_images_are_squares_or_rows(tmp_path, monkeypatch, file, pixels):
    monkeypatch.setattr(memory, "_CHUNK", 7)
    path = tmp_path / f"x.{file}"
    memory.write_images(path, 20, pixels)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    read = numpy_files.open_npy if file == "npy" else numpy_files.read_images
    x = read(path)
    assert x.shape == ((20, 4, 4) if file == "npy" else (20, 15))
    assert x.dtype == np.uint8
    assert 0.05 < (x > 0).mean() < 0.4


def made(rounds=2):
    """Streaming at half the speed, and less than half of the data above start."""
    turns = []

    def run(way):
        turns.append(way)
        data = 100 if way == report.RESIDENT else 20
        mib = 2**20 * (1 + len(turns) // 3)
        peaks = {"evaluate": 3 * mib, "start": 50 * 2**20, "train": (50 + data) * mib}
        return peaks, 10.0 if way == report.RESIDENT else 5.0

    ways = memory.measure(rounds, run)
    assert turns == [report.RESIDENT, report.STREAM] * rounds
    data = {"rows": 1000, "pixels": 4, "bytes": 4000, "file": "npy"}
    place = {"commit": "abc", "jax": "1", "processor": "P", "cores": "2"}
    return report.Memory("the command", place, data, ways)


def test_a_phase_is_a_row_with_its_greatest_peak(tmp_path):
    memory_ = made()
    head, *found = report.rows(memory_)
    assert len(head) == 5
    assert found[0] == ["start", "50", "0", "50", "0"]
    assert found[1] == ["train", "300", "250", "140", "90"]
    assert [row[0] for row in found] == ["start", "train", "evaluate"]
    (line,) = report.part(tmp_path)
    assert "everything --data=mnist.npz --only=memory" in line
    record.write(memory_, tmp_path / "results/speed/memory.json")
    text = report.part(tmp_path)
    assert text == report.table(memory_)
    assert "at 50% of the speed of resident data (50% to 50%, 2 rounds" in text[0]


def test_without_peaks_the_speeds_are_told():
    memory_ = made(1)
    ways = {name: way | {"peaks": {}} for name, way in memory_.ways.items()}
    *_, last = report.table(memory_._replace(ways=ways))
    assert "does not tell" in last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows=10"], "--rows"),
        (["--file=csv"], "invalid choice"),
        (["--folder=nowhere"], "no folder"),
    ],
)
def test_bad_options_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        memory.parse_options(arguments)


def test_the_command_tells_no_folder():
    flags = ["--rows=2000", "--", "--config.train.batch_size=10", "--a=/b/c"]
    assert memory._command(memory.parse_options(flags)) == (
        "python -m infovae_jax.benchmark.memory --rows=2000 "
        "-- --config.train.batch_size=10"
    )
