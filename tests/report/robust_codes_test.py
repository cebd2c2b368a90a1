"""The table of codes that are read from corrupted images."""

from infovae_jax.report import record, robust_codes


def make_record(**figures):
    named = {name.replace("__", "/"): values for name, values in figures.items()}
    return record.Record("command", {}, [0, 1], named, {}, [1.0, 1.0], {}, {})


def test_a_row_is_a_method_and_the_labels_are_those_nearest_to_the_papers():
    figures = {
        "robust__tsvm_100_clean": [0.1, 0.1],
        "robust__tsvm_1000_clean": [0.8, 0.9],
        "robust__tsvm_1000_mask_0.5": [0.5, None],
        "robust__clean": [0.3, 0.3],
    }
    records = {
        "vimae_n_mnist": make_record(**figures),
        "vae_omniglot": make_record(**figures),
        "vae_mnist": make_record(nll=[1.0, 1.0]),
    }
    lines = robust_codes.table("mnist", records)
    head = "| mnist, 1000 labels | clean | noise 0.2 | noise 0.5 | mask 0.2 | mask 0.5 "
    assert lines[0] == head + "| runs |"
    assert lines[2:] == [
        "| VIMAE-n | 0.850 ± 0.071 | - | - | - | 0.500 | 2 |",
        "",
        "`command`",
    ]
    assert robust_codes.table("cifar10", records) == ["Not measured yet."]
