"""The table of what a classifier learns from samples."""

from infovae_jax.report import record, trained_on_samples

CONFIG = {"objective": "n_vae"}


def make_record(figures, config=CONFIG):
    return record.Record("command", config, [0, 1], figures, {}, [1.0, 1.0], {}, {})


def test_a_row_is_a_share_and_a_column_the_spread_of_codes():
    figures = {
        "artificial/accuracy_0": [0.98, 0.98],
        "artificial/accuracy_0.4": [0.96, 0.98],
        "artificial/accuracy_wide_0.4": [0.95, None],
        "classification/accuracy": [0.1, 0.1],
    }
    other = make_record(figures, {"objective": "vae"})
    lines = trained_on_samples.table("n_vae", {"a": make_record(figures), "b": other})
    assert lines[0] == "| share of samples | sigma 1 | sigma 1.4 |"
    assert lines[2:4] == [
        "| 0% | 0.980 ± 0.000 | - |",
        "| 40% | 0.970 ± 0.014 | 0.950 |",
    ]
    assert lines[-1] == "`results/a.json`, 2 runs: `command`"
    assert sum("results/" in line for line in lines) == 1


def test_records_without_the_score_have_no_table():
    found = {"a": make_record({"nll": [1.0, 2.0]})}
    assert trained_on_samples.table("n_vae", found) == ["Not measured yet."]
