"""What every config does on digits: the same twice, and what it did before."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
_spec = importlib.util.spec_from_file_location("golden_record", HERE / "record.py")
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)
# Losses after 25 steps, made by `python tests/golden/record.py --losses=FILE`. Other
# processors and versions round otherwise: 25 steps of Adam amplify that to far less
# than the tolerance, and a changed formula to far more.
LOSSES = json.loads((HERE / "losses.json").read_text())


def test_every_case_has_its_loss():
    assert set(LOSSES) == set(golden.cases())


@pytest.mark.optimized
@pytest.mark.parametrize("case", sorted(LOSSES))
def test_losses_are_those_of_before(case):
    loss, *_ = golden.train(golden.make_config(*golden.cases()[case]))
    np.testing.assert_allclose(loss, LOSSES[case], rtol=2e-3)


@pytest.mark.optimized
@pytest.mark.parametrize("case", ["infocatvae"])
def test_twice_the_same_bits(case):
    name, changes = golden.cases()[case]
    config = golden.make_config(name, changes)
    first, second = (golden.record(config) for _ in range(2))
    assert golden.differences({case: first}, {case: second}) == []


@pytest.mark.optimized
def test_a_difference_is_seen():
    config = golden.make_config("vae", {})
    first = golden.record(config)
    changed = {**first, "params": "0" * 64, "rows": [["elbo", "0"], *first["rows"][1:]]}
    lines = golden.differences({"vae": first}, {"vae": changed})
    assert lines[0] == "vae: params differ"
    assert any("elbo" in line for line in lines)
    assert golden.differences({}, {"vae": first}) == ["vae: only after"]
