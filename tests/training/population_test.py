"""Populations: members are single runs, however they are mapped, stored or chosen."""

import functools
import itertools
import json
import os
import shutil
import signal
import sys
from types import SimpleNamespace

import chex
import forked
import jax
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from infovae_jax import commands, load, objectives
from infovae_jax.config import sweeps
from infovae_jax.config.sweeps import Member
from infovae_jax.data import intake
from infovae_jax.errors import (
    CheckpointError,
    ConfigError,
    Interrupted,
    NonFiniteError,
)
from infovae_jax.evaluation import members as members_lib
from infovae_jax.training import (
    checkpoint,
    files,
    loop,
    metrics,
    population,
    train_step,
)
from infovae_jax.training.run import claim_workdir, empty_run, open_run
from infovae_jax.training.saved import Saved


@pytest.fixture
def population_config(make_config):
    """`make(objective, num_seeds, **sweep)`: a small population on the digits."""

    def make(name, num_seeds=1, **sweep):
        config = make_config(name)
        config.num_seeds, config.train.num_epochs = num_seeds, 4
        config.evaluation.nll_samples, config.evaluation.nll_examples = 5, 50
        for key, value in sweep.items():
            config.sweep[key] = value
        return config

    return make


def open_quietly(config):
    return open_run(config, say=lambda text: None)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("geom(1, 100, 3)", (1.0, 10.0, 100.0)),
        ("lin(-1, 1, 5)", (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ("0.5, 1, 4", (0.5, 1.0, 4.0)),
        ("[2, 1e-3]", (2.0, 0.001)),
        ((0.5, 2), (0.5, 2.0)),
        (3, (3.0,)),
        ("3", (3.0,)),
    ],
)
def test_values_of_a_sweep(text, values):
    np.testing.assert_allclose(sweeps.parse_sweep(text, "here"), values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "geom(0, 1, 3)",
        "geom(1, 2)",
        "lin(0, 1, 1)",
        "lin(0, 1, 2.5)",
        "lin(0, 1, n=3)",
        "lin(0, 1e999, 3)",
        "lin(0, 1, 10**9)",
        "log(1, 2, 3)",
        "1, 1.0",
        "1, nan",
        "1e999",
        "True",
        "'a', 2",
        "__import__('os').getcwd()",
        "1; 2",
    ],
)
def test_what_is_no_sweep(text):
    with pytest.raises(ConfigError) as caught:
        sweeps.parse_sweep(text, "config.sweep.kl_z")
    assert "config.sweep.kl_z" in caught.value.line()


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("kl_zz", "1, 2", "did you mean 'kl_z'"),
        ("learning_rat", "1, 2", "did you mean 'learning_rate'"),
        ("kl_z", "-1, 2", "too small"),
        ("learning_rate", "0, 1", "give one above 0"),
        ("kl_z", "lin(0, 1, 4096)", "8192 members"),
    ],
)
def test_what_cannot_be_swept(population_config, key, value, part):
    config = population_config("vae", 2, **{key: value})
    with pytest.raises(ConfigError) as caught:
        open_quietly(config)
    assert part in caught.value.line()


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("kl_z", "linear(0, 1, 2)", "weights.kl_z is a schedule"),
        ("kl_z", "target(3)", "weights.kl_z is held at a target"),
        ("learning_rate", "cosine(1, 0.1, 2)", "optimizer.learning_rate is a schedule"),
    ],
)
def test_schedules_and_targets_are_not_swept(population_config, key, value, part):
    config = population_config("vae", **{key: "1, 2"})
    group = config.optimizer if key == "learning_rate" else config.weights
    group[key] = value
    with pytest.raises(ConfigError, match=part):
        objectives.check(config)


def test_members_are_seeds_times_the_grid(population_config):
    config = population_config("vae", 2, kl_z="1, 4", learning_rate="0.01, 0.1")
    config.seed = 7
    members = sweeps.members_of(config)
    assert len(members) == 8
    assert members[0] == Member(7, {"kl_z": 1.0, "learning_rate": 0.01})
    assert members[1] == Member(8, {"kl_z": 1.0, "learning_rate": 0.01})
    assert members[-1] == Member(8, {"kl_z": 4.0, "learning_rate": 0.1})
    single = sweeps.member_config(config, members[-1])
    assert (single.seed, single.weights.kl_z) == (8, 4.0)
    assert single.optimizer.learning_rate == 0.1
    assert not sweeps.is_population(single)
    assert config.seed == 7
    assert config.weights.kl_z == 1.0


def whole_program(run, mapped_by, members, steps=5):
    """The state of all members after some steps, and the last losses."""
    step = population.make_population_step(
        loop.make_multi_step(run), *mapped_by, jax.make_mesh((1,), ("data",))
    )
    init = functools.partial(population.init_population, run.objective, run.transform)
    state = jax.jit(lambda: init(members))()
    rows = np.stack([run.batch_indices(0, steps, m.seed) for m in members])
    return jax.jit(step)(state, run.training_data(), rows)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "sweep", "optimizer"),
    [
        ("vae", {"kl_z": "0.5, 4", "learning_rate": "1e-3, 1e-2"}, "adamw"),
        ("infocatvae", {"kl_z": "0.5, 4"}, "adam"),
    ],
)
def test_a_member_is_the_single_run(population_config, name, sweep, optimizer):
    config = population_config(name, 2, **sweep)
    config.optimizer.name, config.optimizer.weight_decay = optimizer, 0.01
    config.optimizer.clip_norm = 50.0
    if name == "infocatvae":
        # The gradient of a bias before a batch normalisation is rounding alone, and
        # near a constant classifier so is the direction of the worst change of x: Adam
        # makes whole steps of it, equal one by one, but not at once.
        config.model.trunk, config.model.logits_scale = "shared", 1.0
    run, members = open_quietly(config), sweeps.members_of(config)
    last = len(members) - 1
    single = open_quietly(sweeps.member_config(config, members[last]))
    init = functools.partial(train_step.init_train_state, single.objective)
    state = jax.jit(lambda: init(single.transform, single.config.seed))()
    indices = single.batch_indices(0, 5)
    expected, means = jax.jit(loop.make_multi_step(single))(
        state, single.training_data(), indices
    )
    # One by one it is the program of a single run; at once the sums are ordered
    # differently, which five steps of Adam carry on.
    for mapped_by, rtol in ((("scan", 1), 1e-6), (("vmap", 1), 1e-4)):
        states, figures = whole_program(run, mapped_by, members)
        own = population.take_member(states.params, last)
        jax.tree.map(
            lambda a, b, r=rtol: np.testing.assert_allclose(a, b, rtol=r, atol=r / 10),
            own,
            expected.params,
        )
        losses = np.asarray(figures["loss"])
        np.testing.assert_allclose(losses[last], means["loss"], rtol=rtol)
        assert len(set(losses.tolist())) == len(members)
        assert jax.tree.leaves(states.step)[0].tolist() == [5] * len(members)


@pytest.mark.long
def test_chunks_with_a_remainder_are_the_same_members(population_config):
    config = population_config("vae", 5)
    run, members = open_quietly(config), sweeps.members_of(config)
    first, second = (
        whole_program(run, how, members)[0] for how in (("scan", 1), ("chunks", 2))
    )
    chex.assert_trees_all_close(first.params, second.params, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_population_resumes_to_the_same_bits_by_the_same_program(
    population_config, tmp_path
):
    config = population_config("vae", 2, kl_z="0.5, 4", learning_rate="1e-3, 1e-2")
    config.train.checkpoint_every = 2
    run = open_quietly(config)
    mesh = population.make_mesh(run)
    whole, rest, said = tmp_path / "whole", tmp_path / "rest", []

    def train(folder, stop_at=None):
        claim_workdir(config, folder)
        program = population.make_program(run, folder, mesh, said.append)
        calls = itertools.count(1)

        def row(figures):
            if next(calls) == stop_at:
                signal.raise_signal(signal.SIGTERM)
            return program.row(figures)

        return loop.train(run, folder, mesh, program=program._replace(row=row))

    states = [train(whole)]
    rest.mkdir()
    shutil.copy(whole / population.FILE, rest)
    with pytest.raises(Interrupted) as caught:
        train(rest, stop_at=2)  # noticed after the next block
    assert caught.value.exit_code == 143
    assert (rest / "checkpoints" / str(3 * run.steps_per_epoch)).is_dir()
    states.append(train(rest))
    assert len(said) == 1
    assert "ms per step: vmap" in said[0]
    record = population.read(rest)
    assert set(record["seconds_per_step"]) == set(population.STRATEGIES)
    fastest = min(record["seconds_per_step"], key=record["seconds_per_step"].get)
    assert record["strategy"] == fastest
    plain = [s._replace(key=jax.random.key_data(s.key)) for s in states]
    chex.assert_trees_all_equal(*plain)
    np.testing.assert_allclose(states[0].hparams["kl_z"], [0.5] * 4 + [4.0] * 4)
    rows, all_rows = map(metrics.read_metrics, (rest, whole))
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in all_rows]
    for name in ("loss", "test/elbo"):
        values = rows[-1]["members"][name]
        assert len(values) == 8
        assert values == all_rows[-1]["members"][name]
        np.testing.assert_allclose(rows[-1][name], np.mean(values), rtol=1e-6)
    own = metrics.read_metrics(rest, member=3)
    assert own[-1]["loss"] == rows[-1]["members"]["loss"][3]
    assert "members" not in own[-1]


def test_a_member_that_diverges_does_not_end_the_others():
    said = []
    row = population._Rows([Member(s, {}) for s in range(3)], said.append)
    figures = {
        "loss": np.array([1.0, np.nan, 3.0]),
        "term/kl_z": np.array([2.0, 9.0, 4.0]),
    }
    found = row(figures)
    assert found["loss"] == 2.0
    assert found["term/kl_z"] == 3.0
    assert found["members"]["loss"] == [1.0, None, 3.0]
    metrics.check_finite({"step": 1} | found, "here")
    row(figures)
    assert len(said) == 1
    assert "member 1 (seed 1)" in said[0]
    assert "loss" in said[0]
    figures["loss"] = np.full(3, np.inf)
    with pytest.raises(NonFiniteError, match="loss"):
        metrics.check_finite({"step": 1} | row(figures), "here")


def test_what_is_held_out_is_not_trained_on(population_config):
    config = population_config("n_vae")
    whole = open_quietly(config)
    config.population.validation = 0.1
    run = open_quietly(config)
    count = whole.dataset.spec.num_examples
    assert len(run.validation_x) == round(0.1 * count)
    assert run.dataset.spec.num_examples == count - len(run.validation_x)
    assert len(run.labels) == len(run.dataset.train_x) == run.dataset.spec.num_examples

    def counted(x):
        return sorted(map(bytes, np.ascontiguousarray(x)))

    both = counted(np.concatenate([run.dataset.train_x, run.validation_x]))
    assert both == counted(whole.dataset.train_x)
    labels = dict(
        zip(map(bytes, whole.dataset.train_x), whole.dataset.train_y, strict=True)
    )
    for x, label in zip(run.dataset.train_x, run.dataset.train_y, strict=True):
        assert labels[bytes(x)] == label


def test_stability_is_agreement_with_members_of_equal_values():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    renamed = (truth + 1) % 4
    noisy = np.where(rng.random(200) < 0.3, rng.integers(0, 4, 200), truth)
    clusters = np.stack([truth, renamed, noisy, noisy])
    members = [Member(s, {"kl_z": 1.0}) for s in range(3)] + [Member(0, {"kl_z": 2.0})]
    found = members_lib.stability(clusters, members)["stability/ari"]
    score = adjusted_rand_score(truth, noisy)
    np.testing.assert_allclose(found[:3], [(1 + score) / 2, (1 + score) / 2, score])
    np.testing.assert_allclose(found[3], (2 * score + 1) / 3)  # none of its values
    collapsed = np.zeros((3, 200), int)
    found = members_lib.stability(collapsed, members[:3])
    np.testing.assert_array_equal(found["stability/ari"], 0.0)


def test_the_choice():
    members = [Member(s, {"kl_z": v}) for v in (1.0, 2.0) for s in range(3)]
    elbo = [-5.0, -4.0, -6.0, -1.0, -9.0, -9.0]
    by_bound = members_lib.choose(members, {"elbo": elbo})
    assert by_bound.member == 1  # the mean of kl_z 1 is the best, not its best seed
    assert "test split" in by_bound.how
    validation = [-5.0, -6.0, -4.0, -7.0, -7.0, -7.0]
    held_out = {"elbo": elbo, "validation/elbo": validation}
    assert members_lib.choose(members, held_out).member == 2
    figures = {"elbo": elbo, "stability/ari": [0.1, 0.2, 0.1, 0.5, 0.7, 0.7]}
    assert members_lib.choose(members, figures).member == 4  # a tie: the first
    figures["elbo"] = [*elbo[:5], -8.0]
    by_stability = members_lib.choose(members, figures)
    assert by_stability.member == 5
    assert "agreement" in by_stability.how
    figures["elbo"][5] = None  # diverged
    assert members_lib.choose(members, figures).member == 4
    with pytest.raises(NonFiniteError):
        members_lib.choose(members, {"elbo": [None] * 6})
    assert members_lib.oracle({"elbo": elbo}) is None
    labelled = {"cluster/accuracy": [0.1, None, 0.9, 0.2, 0.3, 0.4]}
    assert members_lib.oracle(labelled).member == 2


_SHARDED = """
import jax, numpy as np
from infovae_jax import config as config_lib
from infovae_jax.config import sweeps
from infovae_jax.training import loop, population, sharding
from infovae_jax.training.run import open_run
config = config_lib.load_config_file("configs/vae.py")
config.network.encoder_hidden = config.network.decoder_hidden = (16,)
config.num_seeds = 4
config = config_lib.from_json(config_lib.to_json(config))
run = open_run(config, say=lambda text: None)
members = sweeps.members_of(config)
rows = np.stack([run.batch_indices(0, 5, m.seed) for m in members])
found = []
for count in (1, 2):
    mesh = sharding.make_member_mesh(count, len(members))
    own = sharding.batch_sharded(mesh)
    step = population.make_population_step(
        loop.make_multi_step(run), "scan", 1, mesh)
    init = lambda: population.init_population(run.objective, run.transform, members)
    state = jax.jit(init, out_shardings=own)()
    data = jax.device_put(run.training_data(), sharding.replicated(mesh))
    step = jax.jit(step, donate_argnums=0, out_shardings=own)
    text = step.lower(state, data, jax.device_put(rows, own)).compile().as_text()
    assert "all-" not in text and "collective" not in text  # nobody waits
    state, means = step(state, data, jax.device_put(rows, own))
    leaf = jax.tree.leaves(state.params)[0]
    assert len(leaf.sharding.device_set) == count
    assert leaf.addressable_shards[0].data.shape[0] == 4 // count
    found.append([np.asarray(x) for x in jax.tree.leaves((state.params, means))])
for a, b in zip(*found, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
assert population.make_mesh(run).size == 2
config.num_seeds = 3
assert population.make_mesh(run).size == 1
config.train.num_devices = 2
try:
    population.make_mesh(run)
except Exception as error:
    print(error)
"""


def test_two_devices_share_the_members(tmp_path):
    env = {
        **os.environ,
        "XLA_FLAGS": forked.xla_flags("--xla_force_host_platform_device_count=2"),
        "NPROC": "16",
    }
    done = forked.run([sys.executable, "-c", _SHARDED], env=env, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "3 members are not divisible by 2 devices" in done.stdout


SMALL = (
    "--config.network.encoder_hidden=(16,)",
    "--config.network.decoder_hidden=(16,)",
    "--config.train.num_epochs=2",
    "--config.evaluation.nll_samples=5",
    "--config.evaluation.nll_examples=50",
)


def test_command_line_from_end_to_end(run_main, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    done = run_main(
        "--config=configs/catvae.py",
        *SMALL,
        "--config.num_seeds=3",
        "--config.population.strategy=scan",
        "--config.sweep.kl_z",
        "1",
        f"--workdir={folder}",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "population.json").read_text())
    assert record["members"] == [{"seed": s, "kl_z": 1.0} for s in range(3)]
    figures, chosen = record["figures"], record["chosen"]
    assert figures["stability/ari"][chosen] == max(figures["stability/ari"])
    best = figures["cluster/accuracy"][record["oracle"]]
    assert best == max(figures["cluster/accuracy"])
    for text in ("chosen without labels: member", "labels would choose: member", "sd"):
        assert text in done.stdout
    first = json.loads((folder / "evaluation.json").read_text())
    assert first["member"] == chosen
    # The same figures by the evaluation of a single run.
    np.testing.assert_allclose(
        first["metrics"]["elbo"], figures["elbo"][chosen], rtol=1e-5
    )
    for name in ("cluster/accuracy", "cluster/nmi", "active_units"):
        np.testing.assert_allclose(
            first["metrics"][name], figures[name][chosen], atol=1e-6
        )
    assert (folder / "figures" / "members.png").is_file()
    assert "members/elbo" in (folder / "report.html").read_text()

    monkeypatch.chdir(tmp_path)
    other = (chosen + 1) % 3
    codes = {}
    for member in (None, chosen, other):
        commands.encode(str(folder), member)
        codes[member] = np.load(folder / "codes.npz")["test_mean"]
    np.testing.assert_array_equal(codes[None], codes[chosen])
    assert not np.allclose(codes[None], codes[other])
    page = (folder / "report.html").read_text()
    assert f"member={chosen})" in page
    models = {member: load(folder, member=member) for member in (None, chosen, other)}
    x = models[None].sample(4)
    np.testing.assert_array_equal(
        models[None].transform(x), models[chosen].transform(x)
    )
    assert not np.allclose(models[None].transform(x), models[other].transform(x))
    capsys.readouterr()
    commands.sample(str(folder), 4, None, other)
    with pytest.raises(ConfigError, match="members 0 to 2"):
        commands.make_report(str(folder), 3)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--config.sweep.kl_z=geom(0,1,3)"], "config.sweep.kl_z"),
        (["--config.sweep.kl_x=1,2"], "did you mean 'kl_z'"),
        (["--config.num_seeds=0"], "config.num_seeds"),
        (["--config.num_seeds=2", "--member=1"], "--member"),
    ],
)
def test_refused_in_one_line_before_any_compile(run_main, tmp_path, arguments, part):
    folder = tmp_path / "run"
    done = run_main("--config=configs/vae.py", *arguments, f"--workdir={folder}")
    assert done.returncode == 2
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not folder.exists()


def test_a_single_run_has_no_members(make_config, tmp_path):
    config = make_config("vae")
    claim_workdir(config, tmp_path)
    with pytest.raises(ConfigError, match="single run"):
        commands.encode(str(tmp_path), 0)


def test_a_record_that_is_gone_is_told_by_the_checkpoints(tmp_path, make_config):
    saved = checkpoint.Checkpoints(
        tmp_path / "checkpoints",
        about={"population": {"strategy": "chunks", "chunk": 2}},
    )
    assert population._of_checkpoints(tmp_path) is None
    saved.save(2, {"x": np.zeros(2, np.float32)}, [1])
    assert saved.manifest(2)["lost_members"] == [1]
    assert population._of_checkpoints(tmp_path) == {"strategy": "chunks", "chunk": 2}
    run = SimpleNamespace(config=make_config("vae"))
    how = population._settled(run, tmp_path, None, None, None, lambda text: None)
    assert how == ("chunks", 2)
    assert population.read(tmp_path)["strategy"] == "chunks"


def test_a_population_without_its_data_has_the_same_states(population_config):
    """Or its checkpoints could not be read for new data, nor be exported."""
    config = population_config("vae", learning_rate="0.01, 0.1")
    run = open_quietly(config)
    empty = empty_run(config, intake.without_examples(run.dataset))
    members = sweeps.members_of(config)
    with_data, without = (
        jax.eval_shape(
            lambda one=one: population.init_population(
                one.objective, one.transform, members
            )
        )
        for one in (run, empty)
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(with_data, without)


def test_a_member_that_is_not_finite_is_named(population_config, tmp_path):
    run = open_quietly(population_config("vae", 2))
    params = {"a": np.array([[1.0, np.inf], [1.0, 2.0]])}
    saved = Saved(run, params, 6, tmp_path)
    with pytest.raises(NonFiniteError, match="member 0 is not finite at step 6"):
        saved.of_member(0)
    assert saved.of_member(1).run.member == 1


RECORD = {"strategy": "scan", "chunk": 4, "members": [{"seed": 0}, {"seed": 1}]}


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "vmup"},
        {"chunk": "4"},
        {"members": 2},
        {"members": [0, 1]},
        {"figures": {"elbo": [1.0]}},
        {"figures": []},
        {"chosen": 2},
        {"members": [{}, {}]},
        {"figures": {"elbo": ["a", 1.0]}},
    ],
)
def test_a_record_of_another_form_is_damaged(tmp_path, change):
    path = tmp_path / population.FILE
    path.write_text(json.dumps(RECORD))
    assert population.read(tmp_path) == RECORD
    path.write_text(json.dumps(RECORD | change))
    with pytest.raises(CheckpointError, match="damaged"):
        population.read(tmp_path)
    files.write_record(path, RECORD)
    assert population.read(tmp_path) == RECORD
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 3'))
    with pytest.raises(CheckpointError, match="check value"):
        population.read(tmp_path)
