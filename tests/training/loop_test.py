"""The loop's order: the devices work on a block while the one before is read."""

import os
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.errors import ConfigError, MetricError, NonFiniteError
from infovae_jax.training import blocks, checkpoint, loop, metrics
from infovae_jax.training.run import claim_workdir, locked, open_run


def logged(run, mesh, events):
    """The program of a run that notes what is given out, read and measured."""
    program = loop.single_program(run, mesh)

    def advance(blocks):
        for block, step_block in program.advance(blocks):
            events.append(("out", block[1]))
            yield block, step_block

    def row(figures):
        if "test/elbo" not in figures:
            events.append(("read",))
        return program.row(figures)

    def bound(params):
        events.append(("measured",))
        return program.bound(params)

    return program._replace(advance=advance, row=row, bound=bound)


@pytest.fixture
def run(make_config):
    config = make_config("vae")
    config.train.num_epochs, config.train.log_every = 2, 3
    config.train.eval_every = config.train.checkpoint_every = 1
    return open_run(config, say=lambda text: None)


@pytest.mark.long
def test_a_block_is_read_when_the_next_was_given_out(run, tmp_path):
    events, mesh = [], run.make_mesh()
    assert run.steps_per_epoch == 11
    claim_workdir(run.config, tmp_path)
    loop.train(run, tmp_path, mesh, program=logged(run, mesh, events))
    read = ("read",)
    assert events == [
        *(("out", 3), ("out", 6), read, ("out", 9), read, ("out", 12), read),
        # An epoch has ended in this block: its state is measured and saved as it is.
        *(read, ("measured",)),
        *(("out", 15), ("out", 18), read, ("out", 21), read, ("out", 22), read),
        *(read, ("measured",)),
    ]
    rows = metrics.read_metrics(tmp_path)
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 15, 18, 21, 22]
    assert ["test/elbo" in row for row in rows] == [False, False, False, True] * 2
    assert all(row["time/examples_per_second"] > 0 for row in rows)


def test_speed_counts_the_work_wherever_it_was_done(run, tmp_path):
    """On CPUs a small program may be through before it counts as given out."""
    mesh = run.make_mesh()
    program = loop.single_program(run, mesh)

    def advance(blocks):
        for block, step_block in program.advance(blocks):

            def slow(state, step_block=step_block):
                time.sleep(0.05)
                return jax.block_until_ready(step_block(state))

            yield block, slow

    claim_workdir(run.config, tmp_path)
    loop.train(run, tmp_path, mesh, program=program._replace(advance=advance))
    rows = metrics.read_metrics(tmp_path)
    steps = np.diff([0, *(row["step"] for row in rows)])
    seconds = steps * 128 / [row["time/examples_per_second"] for row in rows]
    assert np.all(seconds > 0.05)
    # Two of them compile; the others do little else than wait.
    assert np.all(seconds[1:-1] < 0.5)


def rates(seconds, counts):
    """What rows say of blocks that seem to take so long, of so many examples."""
    reader, now, found = blocks.Reader(lambda means: {}, "x", 10, 1), 0.0, []
    step = 0
    for took, count in zip(seconds, counts, strict=True):
        block = blocks.Dispatched(step, step + count, None, now, now + took)
        found.append(reader.row(block)["time/examples_per_second"])
        now, step = now + took, step + count
    return found


def test_a_block_that_was_done_before_one_looked_has_no_rate_of_its_own():
    """The last short block once stood there with millions a second."""
    found = rates([5.0, 0.2, 0.2, 1e-5], [1000, 1000, 1000, 100])
    assert found[:3] == pytest.approx([200, 5000, 5000])
    assert found[3] == pytest.approx(5500, rel=0.01)
    assert max(rates([5.0, 1e-6], [1000, 100])) < 1000
    # Short blocks have the rate of several.
    found = rates([5.0] + [0.01, 0.03] * 20, [100] * 41)
    assert found[-1] == pytest.approx(5000, rel=0.1)
    # A change of pace shows soon.
    assert rates([5.0] + [0.2] * 5 + [2.0], [100] * 7)[-1] == pytest.approx(50)


class Leaf:
    def __init__(self, ready):
        self.is_ready = lambda: ready


@pytest.mark.parametrize("first_done", [False, True])
@pytest.mark.parametrize("second_done", [False, True])
def test_blocks_end_in_their_order(first_done, second_done):
    """Whenever the host comes to look at them."""
    first = blocks.Dispatched(0, 3, {"loss": Leaf(False)}, 1.0).looked_at()
    assert first.ended is None
    first = first._replace(means={"loss": Leaf(first_done)})
    began = time.perf_counter()
    second = blocks.Dispatched(3, 6, {"loss": Leaf(second_done)}, began).looked_at()
    assert (second.ended is not None) == second_done
    first = first.before(second)
    assert first.ended == (began if first_done or second_done else None)
    assert second.ended is None or first.ended <= second.began < second.ended


def test_a_state_that_is_not_finite_is_not_saved(run, tmp_path):
    """Its figures are read before it is."""
    mesh = run.make_mesh()
    program = loop.single_program(run, mesh)

    def row(figures):
        found = program.row(figures)
        if "test/elbo" not in found:
            row.count += 1
            found["loss"] = np.nan if row.count == 8 else found["loss"]
        return found

    row.count = 0
    claim_workdir(run.config, tmp_path)
    with pytest.raises(NonFiniteError, match="22"):
        loop.train(run, tmp_path, mesh, program=program._replace(row=row))
    assert checkpoint.Checkpoints(tmp_path / "checkpoints").latest() == 12
    assert metrics.read_metrics(tmp_path)[-1]["step"] == 21


def test_a_second_trainer_is_kept_out(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(ConfigError, match=f"process {os.getpid()}"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):  # the first one is gone, its note is not
        assert "process" in (tmp_path / ".lock").read_text()


def test_a_broken_state_is_not_saved(run, tmp_path):
    """The figures of a block are those before its last update."""
    mesh = run.make_mesh()
    program = loop.single_program(run, mesh)

    def advance(cuts):
        for (first, last), step_block in program.advance(cuts):

            def broken(state, step_block=step_block, last=last):
                state, means = step_block(state)
                if last < 22:
                    return state, means
                params = jax.tree.map(lambda a: a.at[0].set(jnp.inf), state.params)
                return state._replace(params=params), means

            yield (first, last), broken

    with pytest.raises(NonFiniteError, match="not saved"):
        loop.train(run, tmp_path, mesh, program=program._replace(advance=advance))
    saved = checkpoint.Checkpoints(tmp_path / "checkpoints")
    assert saved.steps() == [12]


def test_a_divergence_that_an_evaluator_finds_names_the_step(run, tmp_path):
    program = loop.single_program(run, run.make_mesh())

    def bound(params):
        raise MetricError("nan in codes at [3, 0]", "probe", "remove or repair it")

    claim_workdir(run.config, tmp_path)
    with pytest.raises(NonFiniteError, match="nan in codes.*by step 12") as caught:
        loop.train(
            run, tmp_path, run.make_mesh(), program=program._replace(bound=bound)
        )
    assert "repair" not in caught.value.line()
    assert "learning_rate" in caught.value.line()


def test_what_evaluators_remember_goes_on_as_it_was_at_the_checkpoint(run, tmp_path):
    """Of a run that was evaluated after the checkpoint that it goes on from, too."""
    run.config.train.checkpoint_every, run.config.train.num_epochs = 2, 5

    def train():
        remembered = {}

        def count(params):
            remembered["calls"] = remembered.get("calls", 0) + 1
            return {"count": remembered["calls"]}

        mesh = run.make_mesh()
        loop.train(run, tmp_path, mesh, [count], remembered=remembered)
        rows = metrics.read_metrics(tmp_path)
        return [row["count"] for row in rows if "count" in row]

    claim_workdir(run.config, tmp_path)
    assert train() == [1, 2, 3, 4, 5]
    shutil.rmtree(tmp_path / "checkpoints" / str(5 * run.steps_per_epoch))
    saved = checkpoint.Checkpoints(tmp_path / "checkpoints")
    assert saved.manifest(saved.latest())[checkpoint.REMEMBERED] == {"calls": 4}
    assert train() == [1, 2, 3, 4, 5]
