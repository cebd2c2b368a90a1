"""What a person waits for: curves until their marks, and tasks of one table."""

import pytest

from infovae_jax.benchmark import cases, race, waits, workers
from infovae_jax.errors import UserError
from infovae_jax.report import record
from infovae_jax.report import waits as report

WAY = waits.Way(
    cases.parse("catvae_mlp"), {"elbo": -100.0}, 4, "digits", workers.Options()
)


class Worker:
    """Takes 10 s an epoch, of which the first compiles for 4; gains 20 nats each."""

    calls: list = []

    def __init__(self, name, case, options, source, seed):
        if name == "pythae":
            raise workers.Failed("no catvae there")
        assert (case, source, seed) == (WAY.case, "digits", 7)
        self.name, self.steps = name, 0
        self.gain = {"jax": 20.0, "torch_loader": 5.0}[name]

    def call(self, method, **arguments):
        if method == "steps":
            Worker.calls.append((self.name, arguments["count"]))
            self.steps += 1
            return {"seconds": 10.0}
        if method == "compiled":
            return {"value": 1.0 + 4.0 * (self.steps > 0)}
        elbo = -150.0 + self.gain * self.steps
        return {"value": {"elbo": elbo, "accuracy": None}}

    def close(self):
        Worker.calls.append((self.name, "closed"))


def test_variants_take_turns_until_their_marks():
    Worker.calls = []
    found = waits.run_to(WAY, ["jax", "pythae", "torch_loader"], 7, Worker)
    # 1,438 examples: 11 steps an epoch. Ours is content after three, the other never.
    of_peer = ("torch_loader", 11)
    assert Worker.calls[:6] == [("jax", 11), of_peer] * 3
    assert Worker.calls[6:] == [of_peer, ("jax", "closed"), ("torch_loader", "closed")]
    assert found["pythae"] == "no catvae there"
    assert [point["elbo"] for point in found["jax"]] == [-130.0, -110.0, -90.0]
    assert [point["seconds"] for point in found["jax"]] == [6.0, 16.0, 26.0]
    assert {point["compile"] for point in found["jax"]} == {5.0}
    own = waits.reached([found["jax"]], "elbo", -100.0)
    epochs = own.pop("epochs")
    assert own == {"seconds": [26.0], "compile": [5.0]}
    assert epochs == pytest.approx([33 * 128 / 1438])
    missed = waits.reached([found["jax"], found["torch_loader"]], "elbo", -100.0)
    assert missed["seconds"] == [26.0, None]
    assert "failed" in waits.reached([found["pythae"]], "elbo", -100.0)
    assert not waits.passed({"accuracy": None}, "accuracy", 0.1)


def test_one_looks_where_programs_of_the_training_end():
    """As `metrics.jsonl` of MNIST has it: blocks of a hundred steps are not cut."""
    assert waits.ends(60_000, 250, 5) == [300, 500, 800, 1000, 1200]
    assert waits.ends(1438, 128, 2) == [11, 22]


def make_waits():
    """A mark that one peer misses, and a task without epochs."""
    first = {
        "jax": {"seconds": [20.0, 30.0], "compile": [5.0] * 2, "epochs": [7.2, 8.0]},
        "torch_loader": {
            "seconds": [50.0, None],
            "compile": [0.0, None],
            "epochs": [7.0, None],
        },
        "torch_resident": {k: [None] * 2 for k in ("seconds", "compile", "epochs")},
    }
    rest = {"compile": [None] * 2, "epochs": [None] * 2}
    second = {
        "jax": {"seconds": [4.0, 4.0], **rest},
        "torch_per_image": {"seconds": [8.0, 6.0], **rest},
        "torch_per_sample": {"failed": "no PyTorch"},
    }
    place = {"commit": "abc", "jax": "1", "processor": "P", "threads": 2}
    return report.Waits(
        "the command",
        place | {"device": "gpu: H", "precision": "float32"},
        25,
        [
            {"what": "a bound", "how": "", "variants": first},
            {"what": "an NLL", "how": "from 20 images", "variants": second},
        ],
        {},
    )


def test_a_task_has_a_row_for_everyone_who_did_it():
    _, *found = report.rows(make_waits())
    assert found[0] == ["a bound", "ours", "25.0", "5.0", "8", ""]
    once = "50.0 (not reached in 1 of 2 rounds)"
    assert found[1] == ["", "PyTorch eager + DataLoader", once, "0.0", "7", "2.00x"]
    assert found[2][2:] == ["not within 25 epochs", "", "", ""]
    assert found[3] == ["an NLL", "ours", "4.0", "", "", ""]
    assert found[4][2:] == ["7.0", "", "", "1.75x (1.50 to 2.00)"]
    assert found[5][2:] == ["failed: no PyTorch", "", "", ""]


def test_the_part_of_the_page_is_the_table_of_the_file(tmp_path):
    (line,) = report.part(tmp_path)
    assert "everything --data=mnist.npz --only=waits" in line
    record.write(make_waits(), tmp_path / "results/speed/waits.json")
    text = report.part(tmp_path)
    assert text == report.table(make_waits())
    assert "`the command`; commit abc, jax 1, float32, gpu: H, P, 2 threads" in text[0]
    assert text[-1] == "- an NLL: from 20 images."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only=nlls"], "no task 'nlls'"),
        (["--epochs=0"], "--epochs"),
        (["--data=nowhere.npz"], "nowhere.npz"),
    ],
)
def test_bad_options_are_named(arguments, words):
    with pytest.raises(UserError, match=words):
        waits.parse_options(arguments)


def test_the_command_tells_no_folder():
    options = waits.parse_options(["--peers", "--only=nll,ais", "--table=x.json"])
    options.data = "/a/folder/mnist.npz"
    assert waits._command(options) == (
        "python -m infovae_jax.benchmark.waits --data=mnist.npz --peers --only=nll,ais"
    )


def test_everything_that_has_a_mark_is_known():
    for marks in waits.MARKS.values():
        for title, figures in marks.items():
            assert cases.parse(waits.RECIPES[title]).model in ("catvae", "infocatvae")
            assert set(figures) <= set(waits.WORDS)


@pytest.mark.long
def test_what_is_sampled_and_swept_is_timed(monkeypatch):
    """At a size of nothing: the tasks have ours, and single runs beside the sweep."""
    monkeypatch.setattr(waits, "TURNS", 1)
    found = waits.annealed(2, 1, 2)
    (own,) = found["variants"].values()
    assert own["seconds"][0] > 0
    assert own["compile"][0] > 0
    assert found["what"] == "AIS of 2 images, 2 temperatures, 1 chains"
    monkeypatch.setattr(race, "timed_rounds", lambda w, _: dict.fromkeys(w, [2.0]))
    found = waits.swept(2, 1, 4)
    assert set(found["variants"]) == {"jax", report.ONE_BY_ONE}
    assert found["variants"]["jax"]["seconds"] == [2.0 * 468]
