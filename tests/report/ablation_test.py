"""The table of the parts of the clustering recipe."""

from infovae_jax import config as config_lib
from infovae_jax.report import ablation, record


def make_record(seeds=(0, 1), **figures):
    return record.Record("c", {}, list(seeds), figures, {}, [1.0], {}, {})


def row_of(lines, words):
    return next(line for line in lines if line.startswith(f"| {words} |"))


def test_rows_show_mean_spread_and_number_of_runs():
    figures = {
        "cluster/accuracy": [0.98, 0.99],
        "nll": [92.0, 93.0],
        "generation/sample_accuracy": [0.97, 0.97],
    }
    found = {ablation.WHOLE: make_record(**figures)}
    lines = ablation.table(found)
    expected = "| the whole recipe | 0.985 ± 0.007 | 92.50 ± 0.71 | 0.970 ± 0.000 | 2 |"
    assert row_of(lines, "the whole recipe") == expected
    assert "not run yet" in row_of(lines, "reading `soft`")
    # Each names its file, by which a reader finds it.
    page = "\n".join(lines)
    for variant in ablation.VARIANTS:
        assert f"results/{variant.record}.json" in page


def test_a_figure_that_some_runs_lack_says_of_how_many_it_is():
    found = {ablation.WHOLE: make_record(nll=[92.0, None])}
    expected = "| the whole recipe | - | 92.00 (1) | - | 2 |"
    assert row_of(ablation.table(found), "the whole recipe") == expected


def test_every_variant_has_its_own_record_and_flags_that_exist():
    names = [variant.record for variant in ablation.VARIANTS]
    assert len(set(names)) == len(names)
    assert ablation.WHOLE in ablation.names() < set(names)
    config = config_lib.load_config_file(
        str(config_lib.packaged_configs() / "infocatvae.py") + ":mnist"
    )
    keys = set(config_lib.flatten(config))
    for variant in ablation.VARIANTS:
        flags = [part for part in variant.command.split() if part.startswith("--")]
        for flag in flags:
            assert flag.removeprefix("--config.").partition("=")[0] in keys, flag
