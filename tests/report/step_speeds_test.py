"""Training steps beside peers: a table of what was measured, or how to measure it."""

import pytest

from infovae_jax.benchmark import cases, command, workers
from infovae_jax.errors import ConfigError
from infovae_jax.report import record, step_speeds


def speeds():
    """Two cases; pythae has neither, and a compiled loop fails in one."""
    ours = {"median": 1000.4, "flops_per_second": 62.6e9, "share_of_matmul": 0.618}
    peer = {"jax_is_faster_by": 1.5, "ratio_range": [1.25, 2.0]}
    none = {"failed": "no model there"}
    variants = {"jax": ours, "torch_loader": peer, "pythae": none}
    one = {"case": "a_mlp", "batch_size": 128}
    place = {"jax": "1", "torch": "2", "commit": "abc", "precision": "float32"}
    return step_speeds.Speeds(
        "python -m infovae_jax.benchmark --recipes",
        place | {"processor": "P", "threads": 2},
        {"rounds": 5},
        "products",
        [
            one | {"variants": variants | {"torch_compile": peer}},
            one | {"variants": variants | {"torch_compile": none}},
        ],
    )


def test_a_case_is_a_row_and_a_peer_without_figures_no_column():
    head, first, second = step_speeds.rows(speeds())
    assert head[-2:] == ["PyTorch eager + DataLoader", "torch.compile"]
    own = ["a_mlp", "128", "1000", "63", "62%"]
    assert first == [*own, *["1.50x (1.25 to 2.00)"] * 2]
    assert second == [*own, "1.50x (1.25 to 2.00)", "no model there"]


def test_the_part_of_a_page_is_the_table_of_the_file(tmp_path):
    (line,) = step_speeds.part(tmp_path, "recipes")
    assert "everything --data=mnist.npz --only=recipes`" in line
    path = tmp_path / step_speeds.FOLDER / "recipes.json"
    record.write(speeds(), path)
    assert step_speeds.read(path) == speeds()
    text = step_speeds.part(tmp_path, "recipes")
    assert text == step_speeds.table(speeds())
    assert "commit abc, jax 1, torch 2, float32, P, 2 threads" in text[0]
    assert len({line.count("|") for line in text[2:]}) == 1
    path.write_text(path.read_text().replace("1.5", "2.5"))
    with pytest.raises(ConfigError, match="check value"):
        step_speeds.part(tmp_path, "recipes")


def test_one_case_that_failed_says_why():
    failed = {"case": "b_mlp", "batch_size": 64, "variants": {"jax": {"failed": "why"}}}
    (_, row) = step_speeds.rows(speeds()._replace(cases=[failed]))
    assert row == ["b_mlp", "64", "failed: why", "", ""]


def test_the_command_takes_every_recipe_with_its_own_batch():
    flags = step_speeds.FLAGS["recipes"]
    options = command.make_parser().parse_args(flags.split())
    chosen = command.chosen_cases(options)
    assert [case.name for case in chosen] == list(cases.RECIPES)
    assert [case.batch_size for case in chosen] == [250, 128, 100, 128, 128]
    # What is written of it is the command, without the place of the file.
    options.threads = command.make_parser().get_default("threads")
    told = ["python", "-m", "infovae_jax.benchmark", *flags.split()]
    assert set(command.command_of(options).split()) == {
        part.replace("=1", "=1.0") for part in told
    }
    assert set(step_speeds.PEERS) == set(workers.PEERS)
    assert step_speeds.OURS == workers.OURS
