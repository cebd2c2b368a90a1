"""The launch scripts, with the programs they call replaced by ones that note it."""

import json
import os
import pathlib
import stat
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.process
ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
PROGRAMS = ("gcloud", "kubectl", "xpk", "srun", "sbatch", "scontrol", "tar", "python")
SCRIPTS = ("tpu_vm.sh", "gke.sh", "slurm.sh", "one_host.sh")
# A value that a careless script would split, expand or end a text with.
ODD = "--workdir=/runs/a b;$(touch HACKED)&'c'"

FAKE = """#!{python}
import json, os, sys

note = {{"argv": sys.argv[1:], "env": {{k: os.environ.get(k) for k in {env!r}}}}}
if "apply" in sys.argv:
    note["stdin"] = sys.stdin.read()
with open({record!r}, "a") as stream:
    stream.write(json.dumps(["{name}", note]) + "\\n")
sys.exit(int(os.environ.get("FAKE_{name}_CODE", "0")))
"""


@pytest.fixture
def launch(tmp_path):
    """`launch(script, *arguments, env) -> (completed process, recorded calls)`."""
    folder, record = tmp_path / "bin", tmp_path / "record"
    folder.mkdir()
    for name in PROGRAMS:
        path = folder / name
        env = ["CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"]
        path.write_text(
            FAKE.format(python=sys.executable, name=name, record=str(record), env=env)
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(script, *arguments, env=None):
        record.write_text("")
        done = subprocess.run(
            [LAUNCH / script, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not (tmp_path / "HACKED").exists()
        return done, [json.loads(line) for line in record.read_text().splitlines()]

    return run


def shell_words(text, tmp_path):
    """What a shell makes of a command line, without running it."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {text}"], cwd=tmp_path, capture_output=True
    )
    return done.stdout.decode().split("\0")[:-1]


ENOUGH = {
    "tpu_vm.sh": ("--name=pod", "--zone=z"),
    "gke.sh": ("--name=run", "--image=repo/image:1"),
    "slurm.sh": ("--nodes=2", "--tasks_per_node=4", "--gpus_per_node=4"),
    "one_host.sh": ("--processes=2",),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_usage_and_wrong_options(launch, script):
    done, calls = launch(script, "-h")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: launch/{script}")
    for wrong in (("--nonsense",), ENOUGH[script]):
        done, wrong_calls = launch(script, *wrong)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("; ") >= 2
        assert not calls + wrong_calls


@pytest.mark.parametrize("script", SCRIPTS)
def test_dry_run_prints_what_would_run(launch, tmp_path, script):
    arguments = (*ENOUGH[script], "--", "--config=c.py", ODD)
    dry, calls = launch(script, "--dry_run", *arguments)
    assert dry.returncode == 0, dry.stderr
    assert not calls
    done, calls = launch(script, *arguments)
    assert done.returncode == 0, done.stderr
    printed = dry.stdout
    if script == "gke.sh":
        head, _, text = printed.partition("\n")
        assert head == "kubectl apply -f - <<'YAML'"
        assert text == calls[0][1]["stdin"] + "YAML\n"
        return
    words = [shell_words(line, tmp_path) for line in printed.splitlines()]
    if script == "one_host.sh":
        words = [line[line.index("python") :] for line in words]
    made = [[name, *note["argv"]] for name, note in calls]
    assert sorted(words) == sorted(made)
    assert len(made) == {"tpu_vm.sh": 4, "slurm.sh": 1, "one_host.sh": 2}[script]


def test_tpu_vm_runs_one_command_on_all_workers(launch, tmp_path):
    _, calls = launch("tpu_vm.sh", *ENOUGH["tpu_vm.sh"], "--", "--config=c.py", ODD)
    names = [name for name, _ in calls]
    assert names == ["tar", "gcloud", "gcloud", "gcloud"]
    last = calls[-1][1]["argv"]
    assert last[:5] == ["compute", "tpus", "tpu-vm", "ssh", "pod"]
    assert "--worker=all" in last
    remote = shell_words(last[-1].split(" && ")[-1], tmp_path)
    assert remote[1:] == [
        "-m",
        "infovae_jax.main",
        "--distributed",
        "--config=c.py",
        ODD,
    ]
    _, calls = launch(
        "tpu_vm.sh", *ENOUGH["tpu_vm.sh"], "--skip_setup", "--", "--config=c.py"
    )
    assert [name for name, _ in calls] == ["gcloud"]


def test_gke_job_set(launch, tmp_path):
    arguments = ("--hosts=2", "--topology=2x4", "--", "--config=c.py", ODD)
    _, calls = launch("gke.sh", *ENOUGH["gke.sh"], *arguments)
    assert calls[0][0] == "kubectl"
    made = yaml.safe_load(calls[0][1]["stdin"])
    assert made["kind"] == "JobSet"
    assert "@" not in calls[0][1]["stdin"]
    job = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 2
    final = job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
    assert {2, 3} <= set(final)
    assert not {0, 7, 130, 143} & set(final)
    container = job["template"]["spec"]["containers"][0]
    assert container["name"] == "main"
    shell, flag, command = container["command"]
    assert (shell, flag) == ("bash", "-c")
    words = shell_words(command.removeprefix("exec "), tmp_path)
    assert words[-3:] == ["--distributed", "--config=c.py", ODD]


def test_gke_by_xpk(launch, tmp_path):
    arguments = (*ENOUGH["gke.sh"], "--xpk=big", "--zone=z", "--", "--config=c.py", ODD)
    _, calls = launch("gke.sh", *arguments)
    assert [name for name, _ in calls] == ["xpk"]
    argv = calls[0][1]["argv"]
    assert argv[:2] == ["workload", "create"]
    assert {"--cluster=big", "--zone=z", "--workload=run"} < set(argv)
    command = argv[-1].removeprefix("--command=")
    assert shell_words(command, tmp_path)[-2:] == ["--config=c.py", ODD]


@pytest.mark.parametrize("value", ["Run", "a\nb: c", "a'b", "-a"])
def test_gke_refuses_names_that_would_leave_the_yaml(launch, value):
    done, calls = launch("gke.sh", f"--name={value}", "--image=i", "--", "--config=c")
    assert done.returncode == 2
    assert not calls


@pytest.mark.parametrize(
    ("code", "requeued"),
    [(0, False), (1, False), (2, False), (3, False), (5, False)]
    + [(7, True), (130, True), (143, True)],
)
def test_slurm_queues_again_by_exit_code(launch, code, requeued):
    job = {
        "INFOVAE_IN_JOB": "1",
        "INFOVAE_PYTHON": "/opt/my python",
        "INFOVAE_RESTARTS": "3",
        "SLURM_JOB_ID": "42",
        "FAKE_srun_CODE": str(code),
    }
    done, calls = launch("slurm.sh", "--config=c.py", ODD, env=job)
    assert calls[0][0] == "srun"
    argv = calls[0][1]["argv"]
    assert argv[argv.index("/opt/my python") :] == [
        "/opt/my python",
        "-m",
        "infovae_jax.main",
        "--distributed",
        "--config=c.py",
        ODD,
    ]
    again = [note["argv"] for name, note in calls if name == "scontrol"]
    assert again == ([["requeue", "42"]] if requeued else [])
    assert done.returncode == (0 if requeued else code)
    spent = {**job, "SLURM_RESTART_COUNT": "3"}
    done, calls = launch("slurm.sh", "--config=c.py", env=spent)
    assert done.returncode == code
    assert "scontrol" not in [name for name, _ in calls]


def test_slurm_submits_itself_with_one_task_a_gpu(launch):
    _, calls = launch("slurm.sh", "--gpus_per_node=4", "--nodes=2", "--", "--config=c")
    assert [name for name, _ in calls] == ["sbatch"]
    argv = calls[0][1]["argv"]
    wanted = {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--requeue"}
    assert wanted | {"--signal=B:TERM@120"} < set(argv)
    assert argv[-2:] == [str(LAUNCH / "slurm.sh"), "--config=c"]
    exported = next(a for a in argv if a.startswith("--export=")).split(",")
    assert "INFOVAE_IN_JOB=1" in exported
    done, calls = launch("slurm.sh", "--nodes=$(touch HACKED)", "--", "--config=c")
    assert (done.returncode, calls) == (2, [])


def test_one_host_gives_each_process_its_gpu(launch):
    arguments = ("--processes=2", "--gpus=5,7", "--port=777", "--", "--config=c.py")
    _, calls = launch("one_host.sh", *arguments)
    for name, note in calls:
        assert name == "python"
        index = int(note["argv"][4].removeprefix("--process_id="))
        assert note["argv"] == [
            "-m",
            "infovae_jax.main",
            "--coordinator=127.0.0.1:777",
            "--num_processes=2",
            f"--process_id={index}",
            "--config=c.py",
        ]
        assert note["env"]["CUDA_VISIBLE_DEVICES"] == "57"[index]
    done, calls = launch(
        "one_host.sh", "--cpu", "--", "x", env={"FAKE_python_CODE": "5"}
    )
    assert done.returncode == 5
    assert [note["argv"] for _, note in calls] == [["-m", "infovae_jax.main", "x"]]
    assert calls[0][1]["env"]["JAX_PLATFORMS"] == "cpu"


def test_seeds_have_folders_of_their_own(launch):
    """Other flags, another folder; the same ones again, the same."""

    def folders(*flags):
        done, calls = launch("seeds.sh", "configs/vimae.py:mnist", "0 7", *flags)
        assert done.returncode == 0, done.stderr
        runs, summary = [call["argv"] for _, call in calls[:-1]], calls[-1][1]["argv"]
        assert [argv[3] for argv in runs] == ["--config.seed=0", "--config.seed=7"]
        assert all(argv[5:] == list(flags) for argv in runs)
        found = [argv[4].removeprefix("--workdir=") for argv in runs]
        assert summary == ["-m", "infovae_jax.report.summary", *found]
        return found

    plain = folders()
    assert plain == [f"runs/vimae-mnist-seeds/{seed}" for seed in (0, 7)]
    logistic = folders("--config.model.prior=logistic")
    assert logistic == [
        f"runs/vimae-mnist-model.prior-logistic-seeds/{seed}" for seed in (0, 7)
    ]
    assert folders("--config.model.prior=logistic") == logistic
    odd = folders("--config.weights.kl_z=ramp(0, 1, 1, 2)", "--config.data.source=a/b")
    assert all(path.count("/") == 2 and " " not in path for path in odd)
