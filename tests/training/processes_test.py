"""Several devices and several processes give one run; a lost process ends all.

Every process stands under a hard limit: JAX catches SIGTERM, and what hangs is killed.
"""

import json
import os
import pathlib
import signal
import socket
import sys
import time

import chex
import forked
import jax
import numpy as np
import pytest

from infovae_jax import config as config_lib
from infovae_jax.training import loop, metrics, processes, sharding, train_step
from infovae_jax.training.run import open_run

pytestmark = pytest.mark.process
ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 300
# Two cores are too few for the rendezvous of several devices unless told otherwise.
ENV = {**os.environ, "NPROC": "16", "PYTHONPATH": str(ROOT)}

# argv: config file, folder, then coordinator, number and id of the process.
WHOLE_RUN = """
import pathlib, shutil, sys
import jax
from infovae_jax import commands, config, report
from infovae_jax.training import loop, processes
from infovae_jax.training.run import open_run
report.PICTURES = report.PICTURES[:1]  # the others are tested elsewhere
processes.start(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), 20)
text, folder = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
commands.train(config.from_json(text), str(folder / "run"))
if processes.is_first():
    saved = (folder / "run/checkpoints").iterdir()
    middle = min(saved, key=lambda path: int(path.name))
    shutil.copytree(middle, folder / "rest/checkpoints" / middle.name)
rest = config.from_json(text)
rest.train.shard_params = rest.data.stream = True
run = open_run(rest, say=processes.say)
state = loop.train(run, folder / "rest", run.make_mesh())
jax.distributed.shutdown()
"""
# argv: config file, folder, then the config changes of each run as JSON.
MANY_DEVICES = """
import json, pathlib, sys
import jax
from infovae_jax import config
from infovae_jax.training import loop
from infovae_jax.training.run import open_run

text, folder = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
for number, changes in enumerate(sys.argv[3:]):
    cfg = config.from_json(text)
    cfg.update_from_flattened_dict(json.loads(changes))
    run = open_run(cfg)
    workdir = folder / str(number)
    workdir.mkdir()
    state = loop.train(run, workdir, run.make_mesh())
    kernel = next(x for x in jax.tree.leaves(state.params) if x.shape == (64, 256))
    print("part", number, kernel.addressable_data(0).shape, kernel.shape)
"""


def small_config():
    """Fifty steps; the first kernel has 64 x 256 numbers."""
    path = ROOT / "configs" / "vae.py"
    config = config_lib.from_json(
        config_lib.to_json(config_lib.load_config_file(str(path)))
    )
    config.network.encoder_hidden = config.network.decoder_hidden = (256,)
    config.data.num_train = 640
    config.train.batch_size, config.train.num_epochs = 64, 5
    config.train.eval_every, config.train.checkpoint_every = 5, 2
    config.evaluation.nll_samples, config.evaluation.nll_examples = 2, 32
    return config


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(config_lib.to_json(small_config()))
    return path


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The rows of one process with one device."""
    folder = tmp_path_factory.mktemp("single")
    run = open_run(small_config(), say=lambda text: None)
    loop.train(run, folder, run.make_mesh())
    return metrics.read_metrics(folder)


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Pair:
    """Two processes of one command, killed at the end whatever happens."""

    def __init__(self, make_command, folder):
        self.logs = [folder / f"log{index}" for index in range(2)]
        self.processes = []
        address = free_address()
        for index, log in enumerate(self.logs):
            command = [sys.executable, *make_command(address, index)]
            self.processes.append(forked.Popen(command, log, log, env=ENV))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for process in self.processes:
            process.kill()
            process.wait()

    def text(self, index=None):
        chosen = self.logs if index is None else [self.logs[index]]
        return "\n".join(log.read_text() for log in chosen)


def assert_same_losses(rows, expected):
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    assert rows[-1]["step"] == 50
    for name in ("loss", "term/kl_z"):
        np.testing.assert_allclose(
            [row[name] for row in rows], [row[name] for row in expected], rtol=1e-5
        )
    np.testing.assert_allclose(
        rows[-1]["test/elbo"], expected[-1]["test/elbo"], rtol=1e-5
    )


def test_two_processes_are_one_run_and_write_once(tmp_path, config_file, single):
    def command(address, index):
        return "-c", WHOLE_RUN, config_file, tmp_path, address, "2", str(index)

    (tmp_path / "rest").mkdir()
    with Pair(command, tmp_path) as pair:
        codes = [process.wait(timeout=LIMIT) for process in pair.processes]
        assert codes == [0, 0], pair.text()
        parts = ("run", "rest")
        whole, rest = (metrics.read_metrics(tmp_path / part) for part in parts)
        assert_same_losses(whole, single)
        # From the checkpoint in the middle, which process 1 never reads itself, with
        # kernels split over the processes and rows read where they are used.
        assert [row["step"] for row in rest] == [50]
        assert_same_losses(rest, single[-1:])
        run = open_run(small_config(), say=lambda text: None)
        params = [loop.restore_params(run, tmp_path / part)[0] for part in parts]
        # 1e-3: Adam divides by roots of second moments that are near zero.
        chex.assert_trees_all_close(*params, atol=1e-3, rtol=1e-7)
        assert "workdir" in pair.text(0)
        assert "report.html" in pair.text(0)
        for written in ("workdir", "report.html", "elbo", "data:"):
            assert written not in pair.text(1)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["step"] == 50
    steps = sorted(int(p.name) for p in (tmp_path / "run/checkpoints").iterdir())
    assert steps == [40, 50]


def test_virtual_devices_split_batch_and_kernels(tmp_path, config_file, single):
    runs = [
        {"train.num_devices": 2},
        {"train.num_devices": 4},
        {"train.num_devices": 4, "train.shard_params": True, "data.stream": True},
    ]
    many = "--xla_force_host_platform_device_count=4"
    done = forked.run(
        [sys.executable, "-c", MANY_DEVICES, config_file, tmp_path]
        + [json.dumps(changes) for changes in runs],
        env={**ENV, "XLA_FLAGS": forked.xla_flags(many)},
        timeout=LIMIT,  # ends with SIGKILL
    )
    assert done.returncode == 0, done.stderr
    for number in range(len(runs)):
        assert_same_losses(metrics.read_metrics(tmp_path / str(number)), single)
    parts = [line for line in done.stdout.splitlines() if line.startswith("part")]
    assert parts[1] == "part 1 (64, 256) (64, 256)"
    assert parts[2] == "part 2 (64, 64) (64, 256)"


def endless(folder):
    def command(address, index):
        return (
            "-m",
            "infovae_jax.main",
            "--config=configs/vae.py",
            "--config.network.encoder_hidden=(16,)",
            "--config.network.decoder_hidden=(16,)",
            "--config.train.num_epochs=100000",
            "--config.train.eval_every=100000",
            "--config.train.checkpoint_every=100000",
            f"--workdir={folder / 'run'}",
            f"--coordinator={address}",
            "--num_processes=2",
            f"--process_id={index}",
            "--heartbeat_seconds=10",
        )

    return command


def wait_for_rows(pair, folder):
    deadline = time.monotonic() + LIMIT
    while len(metrics.read_metrics(folder)) < 3:
        alive = [process.poll() is None for process in pair.processes]
        assert all(alive), pair.text()
        assert time.monotonic() < deadline, pair.text()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("victim", "number"),
    [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGSTOP)],
)
def test_a_lost_process_ends_the_other(tmp_path, victim, number):
    """Killed or, what no closed connection tells, silent.

    JAX 0.7 ends a process itself, with code 1, when
    the coordinator dies or a process is silent.
    """
    with Pair(endless(tmp_path), tmp_path) as pair:
        wait_for_rows(pair, tmp_path / "run")
        pair.processes[victim].send_signal(number)
        code = pair.processes[1 - victim].wait(timeout=120)
        if code == 1 and jax.__version_info__ < (0, 10):
            assert "distributed service detected fatal" in pair.text(1 - victim)
            return
        assert code == 7, pair.text()
        last = [x for x in pair.text(1 - victim).splitlines() if "error: " in x][-1]
        assert "another process was lost" in last
        assert last.count("; ") >= 2


def test_a_polite_signal_to_one_saves_and_ends_both(tmp_path):
    with Pair(endless(tmp_path), tmp_path) as pair:
        wait_for_rows(pair, tmp_path / "run")
        pair.processes[1].send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=60) for process in pair.processes]
        assert codes == [143, 143], pair.text()
    saved = [int(path.name) for path in (tmp_path / "run/checkpoints").iterdir()]
    assert saved == [metrics.read_metrics(tmp_path / "run")[-1]["step"]]


def test_streamed_data_give_the_same_bits(tmp_path):
    config = small_config()
    config.data.binarize = "stochastic"
    states = []
    for stream in (False, True):
        config.data.stream = stream
        run = open_run(config, say=lambda text: None)
        (tmp_path / str(stream)).mkdir()
        states.append(loop.train(run, tmp_path / str(stream), run.make_mesh()))
    params = [train_step.variables(state) for state in states]
    chex.assert_trees_all_equal(*params)


def test_only_large_divisible_kernels_are_split():
    mesh = sharding.make_mesh(1, 1)
    shapes = {"large": (256, 512), "small": (8, 8), "vector": (2**20,), "odd": (0, 7)}
    tree = {k: jax.ShapeDtypeStruct(v, np.float32) for k, v in shapes.items()}
    found = sharding.state_shardings(tree, mesh, True, split_from=2**14)
    assert found["large"].spec == jax.sharding.PartitionSpec(None, "data")
    assert all(found[name].is_fully_replicated for name in ("small", "vector", "odd"))
    plain = sharding.state_shardings(tree, mesh, False)
    assert all(s == sharding.replicated(mesh) for s in plain.values())


def run_code(code):
    return forked.run([sys.executable, "-c", code], env=ENV, timeout=60)


def test_work_that_hangs_ends_with_code_7():
    code = (
        "import time\n"
        "from infovae_jax.training import interruption\n"
        "with interruption.Watchdog(0.5) as dog:\n"
        "    for _ in range(5):\n"
        "        time.sleep(0.2)\n"
        "        dog.feed('the work from step 5 to 9')\n"
        "    time.sleep(100)\n"
    )
    done = run_code(code)
    assert done.returncode == 7, done.stderr
    assert done.stderr.startswith("error: the work from step 5 to 9 did not end in 0.5")
    assert len(done.stderr.splitlines()) == 1


def test_a_process_that_was_stopped_did_not_hang_meanwhile():
    code = (
        "import os, signal, subprocess, time\n"
        "from infovae_jax.training import interruption\n"
        "with interruption.Watchdog(0.8):\n"
        "    wake = f'sleep 2; kill -CONT {os.getpid()}'\n"
        "    subprocess.Popen(['sh', '-c', wake])\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
        "    time.sleep(0.4)\n"
    )
    done = run_code(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--num_processes=2",), "--coordinator, --process_id missing"),
        (("--coordinator=a:1", "--num_processes=2", "--process_id=2"), "give 0 to 1"),
        (("--coordinator=a", "--num_processes=2", "--process_id=1"), "HOST:PORT"),
    ],
)
def test_flags_that_make_no_cluster_are_refused(run_main, flags, part):
    done = run_main("--config=configs/vae.py", *flags)
    assert done.returncode == 2
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_alone_nothing_is_shared():
    assert not processes.several()
    assert processes.is_first()
    assert processes.on_first(lambda: 3) == 3
    assert processes.agreed(15) == 15
    assert processes.lost_process(RuntimeError("Gloo all-reduce failed")) is None
