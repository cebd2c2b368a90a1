"""The benchmark compares equal computations, and reports them whole."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import objectives
from infovae_jax.benchmark import (
    cases,
    command,
    elbo,
    ours,
    race,
    tables,
    workers,
)
from infovae_jax.config import sealed
from infovae_jax.errors import ConfigError

FAST = workers.Options(rounds=2, turn_seconds=0.01, threads=1, case_seconds=0.0)
TINY = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 1)).astype(np.uint8)


def tiny(name, batch_size=32):
    case = cases.parse(name, batch_size)
    return case, np.zeros((64, *case.shape), np.uint8)


@pytest.mark.parametrize(
    "name",
    ["vae_mlp", "vae_conv", "vae_conv64", "catvae_mlp", "infocatvae_mlp", "iwae_mlp"]
    + ["catvae_topk_mlp", "infocatvae_conv", "beta_vae_mlp", "info_vae_mlp"]
    + ["wae_mmd_mlp"],
)
@pytest.mark.parametrize("peer", ["torch_resident", "pythae"])
def test_networks_of_the_peers_are_equal_in_size(name, peer):
    pytest.importorskip("pythae" if peer == "pythae" else "torch")
    case, images = tiny(name)
    settings = cases.peer_settings(case)
    try:
        theirs = workers.make_variant(peer, case, settings, images, 1)
    except workers.Failed:
        assert name.startswith(("catvae", "infocatvae")), name  # pythae has neither
        return
    objective = objectives.make(cases.make_config(case), case.spec(64))
    params = jax.eval_shape(objective.init, jax.random.key(0))
    assert theirs.num_params == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert np.isfinite(theirs.steps(1))


@pytest.mark.parametrize(
    "name",
    ["vae_mlp", "catvae_mlp", "catvae_topk_mlp", "infocatvae_mlp"]
    + ["iwae_mlp", "wae_mmd_mlp"],
)
@pytest.mark.parametrize("peer", ["torch_loader", "pythae"])
def test_losses_of_the_peers_are_alike(name, peer):
    """Initial weights differ by each library's habit; after 60 steps losses agree."""
    pytest.importorskip("pythae" if peer == "pythae" else "torch")
    if peer == "pythae" and "cat" in name:
        pytest.skip("pythae has no such model")
    case = cases.parse(name, 64)
    images = np.repeat(np.repeat(TINY[:, ::4, ::4], 4, 1), 4, 2)
    settings = cases.peer_settings(case)
    found = [
        workers.make_variant(n, case, settings, images, 1).steps(60)
        for n in ("jax", peer)
    ]
    offset = 0.0
    if case.objective == "wae_mmd" and peer == "pythae":
        offset = 0.5 * 784 * np.log(np.pi)  # a constant that its loss leaves out
    # pythae gives the mean over the steps, which the first ones raise.
    tolerance = 0.25 if peer == "pythae" else 0.05
    np.testing.assert_allclose(found[1] + offset, found[0], rtol=tolerance)


def test_every_objective_is_a_case():
    found = {name.rpartition("_")[0] for name in cases.all_names()}
    assert found == {*objectives.names(), cases.RECIPE, cases.TOPK, cases.BATCH_NORM}
    for name in cases.all_names():
        case = cases.parse(name, 64)
        assert case.name == name
        made = objectives.make(cases.make_config(case), case.spec(100))
        assert made.latent_dim > 0
    assert cases.parse("vae_conv28") == cases.parse("vae_conv")


def test_flops_are_those_counted_by_hand():
    variant = ours.JaxVariant(cases.parse("vae_mlp", 16), TINY)
    encoder = 784 * 500 + 500 * 500 + 500 * 40
    decoder = 20 * 500 + 500 * 500 + 500 * 784
    # Forward, weights' gradients, and inputs' gradients but of the first layer.
    macs = 3 * (encoder + decoder) - 784 * 500
    assert variant.flops_per_step() == 2.0 * 16 * macs


@pytest.mark.long
def test_flops_of_the_whole_recipe_are_those_counted_by_hand():
    size = 16
    variant = ours.JaxVariant(cases.parse("infocatvae_recipe_mlp", size), TINY)
    first, rest = 784 * 500, 500 * 500
    layers, head, logits, code = first + rest, 500 * 40, 500 * 10, 20 * 500
    # Forward, weights' gradients, and inputs' gradients where something needs them:
    # an encoding and three decodings; q(c | x) of the batch and of two changed ones.
    macs = 3 * (layers + head) - first + 3 * 3 * (layers + code)
    macs += 3 * (3 * (layers + logits) - first)
    # The power step, forward and inputs' gradients; the distances in the batch; an
    # affine map, and where it takes the pixels from.
    macs += 2 * (layers + logits) + size * 784 + 2 * 2 * 2 + 2 * 2 * 784
    # A hundred codes without gradient, and what they decode to, of fixed weights.
    again = 3 * (layers + code) - code + 2 * (layers + logits)
    assert variant.flops_per_step() == 2.0 * (size * macs + 100 * again)


def test_flops_of_a_convolution_and_a_loop():
    def convolve(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def loop(x, w):
        return jax.lax.scan(lambda c, _: (c, convolve(c, w)), x, None, length=3)[1]

    arguments = jnp.zeros((2, 8, 8, 3)), jnp.zeros((4, 4, 3, 5))
    once = 2.0 * (2 * 4 * 4 * 5) * (4 * 4 * 3)
    assert ours.count_flops(jax.make_jaxpr(convolve)(*arguments).jaxpr) == once
    assert ours.count_flops(jax.make_jaxpr(loop)(*arguments).jaxpr) == 3 * once


def test_a_program_that_does_not_fit_is_refused(monkeypatch):
    program = jax.jit(lambda x: jnp.sort(x * 2.0)[::-1] + jnp.sort(x)).lower(
        jnp.zeros(10_000)
    )
    compiled = program.compile()
    ours.check_memory(compiled)
    needed = compiled.memory_analysis().temp_size_in_bytes
    monkeypatch.setattr(ours, "available_bytes", lambda: needed)
    with pytest.raises(ours.NotEnoughMemory, match="GiB"):
        ours.check_memory(compiled)


def test_elbo_is_the_closed_form():
    """A decoder of constant means: the bound has no noise, and KL is known."""
    images = np.full((7, 2, 2, 1), 255, np.uint8)

    def posteriors(x):
        shape = (len(x), 1, 3)
        return np.zeros((len(x), 1)), np.full(shape, 0.5), np.full(shape, -1.0)

    def decode(z):
        return np.full((len(z), 2, 2, 1), 0.25, np.float32)

    kl = 3 * 0.5 * (0.25 + np.exp(-1.0) - 1.0 + 1.0)
    found = elbo.test_elbo(posteriors, decode, np.zeros((1, 3)), images)
    np.testing.assert_allclose(found, 4 * np.log(0.25) - kl, rtol=1e-6)


def test_elbo_of_clusters_is_the_closed_form():
    """Each posterior is its cluster's prior but for variance; two kinds of decoding."""
    images = np.full((7, 2, 2, 1), 255, np.uint8)
    prior = elbo.prior_means({"num_clusters": 2, "latent_dim": 2, "separation": 9.0})
    q = np.array([0.3, 0.7])

    def posteriors(x):
        mean = np.broadcast_to(prior, (len(x), 2, 2))
        return np.tile(np.log(q), (len(x), 1)), mean, np.full(mean.shape, -4.0)

    def decode(z):
        p = np.where(z[:, 0] > 4.5, 0.25, 0.5)  # the first cluster, the second
        return np.broadcast_to(p[:, None, None, None], (len(z), 2, 2, 1))

    kl_z = 2 * 0.5 * (np.exp(-4.0) - 1.0 + 4.0)
    log_x = 4 * np.log([0.25, 0.5])
    expected = (q * (log_x - kl_z - np.log(2 * q))).sum()
    found = elbo.test_elbo(posteriors, decode, prior, images)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("peer", ["jax", "torch_resident"])
def test_bound_of_a_variant_is_what_its_library_says(peer):
    """Minus the loss of CatVAE without its balance term, on one batch's images."""
    if peer != "jax":
        pytest.importorskip("torch")
    case = cases.parse("catvae_mlp", 300)
    settings = cases.peer_settings(case)
    variant = workers.make_variant(peer, case, settings, TINY, 1)
    posteriors = variant.posteriors(np.float32(TINY) / 255.0)
    prior = elbo.prior_means(settings)
    assert [part.shape for part in posteriors] == [(300, 10), *[(300, 10, 20)] * 2]
    found = elbo.test_elbo(variant.posteriors, variant.decode, prior, TINY)
    usage = np.exp(np.float64(posteriors[0])).mean(0)
    balance = np.log(10) + (usage * np.log(usage)).sum()
    loss = variant.steps(1) - settings["weights"]["balance"] * balance
    np.testing.assert_allclose(found, -loss, rtol=2e-3)


@pytest.mark.process
def test_quality_compares_the_bounds(capsys):
    """Of digits, enlarged, after one epoch: enumeration and its estimate."""
    command.main(
        [
            "--quality",
            "--cases=catvae_mlp,catvae_topk_mlp",
            "--batch_sizes=512",
            "--epochs=1",
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["catvae_mlp", "jax"]
    assert lines[-2].startswith("catvae_topk_mlp")
    assert "test ELBO -" in lines[-2]
    assert lines[-1].startswith("catvae: largest difference")


@pytest.mark.process
def test_quality_takes_a_model_without_clusters(capsys):
    command.main(["--quality", "--cases=vae_mlp", "--batch_sizes=512", "--epochs=1"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:4] == ["vae_mlp", "jax", "test", "ELBO"]
    assert -600 < float(rows[0][4]) < -50  # three steps from the start


def test_turns_are_interleaved_and_the_first_round_does_not_count():
    order, clock = [], iter(range(100))
    turns = {
        name: lambda n=name: order.append(n) or float(next(clock)) for name in "ab"
    }
    seconds = race.timed_rounds(turns, 2)
    assert "".join(order) == "ababab"
    assert seconds == {"a": [2.0, 4.0], "b": [3.0, 5.0]}
    assert race.ratio(seconds["b"], seconds["a"]) == (1.375, (1.25, 1.5))


def test_quality_reads_digits_enlarged():
    train, test, labels = elbo.read("digits")
    assert len(labels) == len(test)
    assert train.dtype == np.uint8
    assert train.shape[1:] == test.shape[1:] == (28, 28, 1)
    assert (train[:, 2:5, 2:5] == train[:, 2:3, 2:3]).all()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A run of one case with every peer, those that are not installed too."""
    path = tmp_path_factory.mktemp("benchmark") / "out.json"
    command.main(
        [
            "--cases=vae_mlp",
            "--batch_sizes=16",
            "--rounds=2",
            "--turn_seconds=0.01",
            "--threads=1",
            f"--out={path}",
        ]
    )
    return path


@pytest.mark.process
def test_runs_alone(report):
    found = json.loads(report.read_text())
    (result,) = found["cases"]
    row = result["variants"]["jax"]
    assert row["jax_is_faster_by"] == 1.0
    assert len(row["examples_per_second"]) == 2
    assert row["num_params"] == 784 * 500 + 2 * 500 * 500 + 500 * 784 + 784 + (
        4 * 500 + 500 * 40 + 40 + 20 * 500
    )
    low, high = row["range"]
    assert low <= row["median"] <= high
    for key in ("first_step_seconds", "compile_seconds", "peak_rss_bytes"):
        assert row[key] > 0, key
    assert 0 < row["share_of_matmul"] < 2
    assert found["environment"]["jax"] == jax.__version__
    assert found["environment"]["threads"] == 1
    assert found["environment"]["precision"] == "float32"


@pytest.mark.process
def test_table_is_markdown_of_the_file(report, capsys):
    command.main([f"--table={report}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| case | batch | variant |")
    assert lines[4].startswith("| vae_mlp | 16 | jax |")
    assert len({line.count("|") for line in lines[2:]}) == 1


@pytest.mark.process
def test_a_cut_run_goes_on(report, capsys):
    """The case of the file is kept as it was; another machine's is refused."""
    before = report.read_text()
    arguments = ["--cases=vae_mlp", "--batch_sizes=16", "--threads=1", "--resume"]
    command.main([*arguments, f"--out={report}"])
    assert report.read_text() == before
    changed = report.with_name("changed.json")
    found = json.loads(before)
    found["environment"]["threads"] = 9
    changed.write_text(json.dumps(sealed.seal(found)))
    with pytest.raises(SystemExit):
        command.main([*arguments, f"--out={changed}"])
    assert "threads was 9, is 1" in capsys.readouterr().err


@pytest.mark.process
def test_a_peer_that_fails_is_named_and_the_others_go_on():
    """Whatever is not installed or has no such model stays in the report."""
    result = race.run_case(cases.parse("n_vae_mlp", 16), ["jax", "pythae"], FAST)
    failed = result["variants"]["pythae"]["failed"]
    assert "no n_vae there" in failed or "No module named" in failed
    assert result["variants"]["jax"]["median"] > 0
    assert "failed: " in tables.text(result)


@pytest.mark.process
def test_a_worker_that_is_silent_is_ended():
    silent = FAST._replace(answer_seconds=0.01)
    with pytest.raises(workers.Failed, match="no answer"):
        workers.Worker("jax", cases.parse("vae_mlp", 16), silent)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--cases=vae_mpl", "did you mean 'vae_mlp'"),
        ("--batch_sizes=12x", "no batch sizes"),
        ("--table=nowhere.json", "no figures of a benchmark"),
        ("--quality --cases=n_vae_mlp", "no test ELBO for case 'n_vae_mlp'"),
        ("--rounds=-1", "--rounds"),
        ("--rounds=x", "invalid int value"),
        ("--threads=0", "--threads"),
        ("--out=nowhere/x.json", "no folder for"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(argument, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(argument.split())
    assert stopped.value.code == ConfigError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "infovae_jax.benchmark", "--cases=vae_mpl"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean 'vae_mlp'" in done.stderr
