"""An evaluation that was stopped goes on with the next group, of the same state."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from infovae_jax import evaluation
from infovae_jax.evaluation import members, parts, workdir
from infovae_jax.evaluation.table import Row
from infovae_jax.training import files, population
from infovae_jax.training.run import open_run
from infovae_jax.training.saved import Saved

ROWS = [Row("a", 0.1, "nats"), Row("b", None, "not measured"), Row("c", [1, 2], "", 3)]


def counted(calls):
    def make():
        calls.append(1)
        return ROWS

    return make


def test_a_finished_group_is_kept_for_the_same_state(tmp_path):
    calls = []
    for state, count in (("one", 1), ("one", 1), ("other", 2), ("one", 3)):
        own = parts.Parts(tmp_path, state)
        assert own.rows("core", counted(calls)) == ROWS
        assert len(calls) == count
    own.clear()
    assert not (tmp_path / parts.FILE).exists()
    assert parts.Parts(tmp_path, "one").kept() == []


@pytest.mark.parametrize("fault", ["flipped", "forged", "of another user", "a link"])
def test_what_this_user_did_not_keep_is_not_believed(tmp_path, monkeypatch, fault):
    parts.Parts(tmp_path, "one").rows("core", lambda: ROWS)
    path = tmp_path / parts.FILE
    text = path.read_text()
    if fault == "flipped":
        path.write_text(text.replace("0.1", "0.2"))
    elif fault == "forged":
        groups = {"core": {"rows": [["a", 0.9, ""]], "seconds": 0.0}}
        files.write_record(path, {"state": "one", "groups": groups, "code": "0" * 64})
    elif fault == "of another user":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    assert parts.Parts(tmp_path, "one").kept() == []


def test_a_state_is_parameters_step_config_and_data(tmp_path):
    np.savez(tmp_path / "x.npz", **small_run.images())
    config = small_run.make_config(tmp_path / "x.npz")
    run = open_run(config, say=lambda text: None)
    params = {"w": np.zeros(3)}
    states = [
        parts.state_of(run, params, 6),
        parts.state_of(run, params, 7),
        parts.state_of(run, {"w": np.array([0.0, 0.0, 1e-30])}, 6),
        parts.state_of(run, {"v": np.zeros(3)}, 6),
        parts.state_of(run._replace(digests={"test images": "0"}), params, 6),
        parts.state_of(run._replace(member=0), params, 6),
    ]
    config.evaluation.nll_samples = 3
    states.append(parts.state_of(run, params, 6))
    assert len(set(states)) == len(states)
    config.evaluation.nll_samples = 2
    assert parts.state_of(run, params, 6) == states[0]


def test_an_evaluation_that_was_stopped_goes_on(tmp_path, make_config, monkeypatch):
    config = make_config("vae")
    config.evaluation.nll_samples, config.evaluation.nll_examples = 2, 20
    run = open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    state, core, calls = parts.state_of(run, params, 1), evaluation.core.rows, []

    def stopped(*arguments):
        raise KeyboardInterrupt

    def own(*arguments):
        calls.append(1)
        return core(*arguments)

    monkeypatch.setattr(evaluation.core, "rows", own)
    groups = {"likelihood": lambda *_: ROWS, "generation": stopped}
    monkeypatch.setattr(evaluation, "GROUPS", groups)
    names = "likelihood,generation"
    kept = parts.Parts(tmp_path, state)
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(run, params, 1, names, parts=kept)
    kept = parts.Parts(tmp_path, state)
    assert kept.kept() == ["core", "likelihood"]
    groups |= {"likelihood": stopped, "generation": lambda *_: []}
    result = evaluation.evaluate(run, params, 1, names, parts=kept)
    assert len(calls) == 1
    groups["likelihood"] = lambda *_: ROWS
    expected = evaluation.evaluate(run, params, 1, names)
    for one in (result, expected):
        one.pop("seconds")
    chex.assert_trees_all_equal(result, expected)


def test_the_figures_of_members_are_kept_until_the_chosen_one_has_its_own(
    tmp_path, make_config, monkeypatch
):
    config = make_config("catvae")
    config.num_seeds, config.data.num_train = 3, 150
    run = open_run(config, say=lambda text: None)
    alone = [run.objective.init(jax.random.key(seed)) for seed in range(3)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    saved = Saved(run, params, 6, tmp_path)
    seeds = [{"seed": seed} for seed in range(3)]
    record = {"strategy": "scan", "chunk": 1, "members": seeds}
    files.write_record(tmp_path / population.FILE, record)

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(members, "_agreement", stopped)
        with pytest.raises(KeyboardInterrupt):
            workdir.choose_member(saved)
    kept = tmp_path / parts.OF_MEMBERS
    assert kept.exists()
    with monkeypatch.context() as patch:
        # What is done is not done again, and of the chosen one nothing is finished.
        patch.setattr(members.population, "member_bounds", stopped)
        patch.setattr(workdir, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt):
            workdir.evaluate_saved(saved)
        assert kept.exists()
        patch.setattr(members, "_agreement", stopped)
        chosen, of_members = workdir.choose_member(saved)
    found = population.read(tmp_path)
    assert chosen.run.member == found["chosen"]
    expected = members.evaluate_members(run, params, "scan", 1)
    assert found["figures"] == expected
    assert list(found["figures"]) == list(expected)
    # Of other parameters nothing is believed.
    other = jax.tree.map(lambda leaf: leaf + 1, params)
    mapped = {"mapped": ("scan", 1)}
    for state, count in ((params, 3), (other, 0)):
        state = parts.state_of(run, state, 6, **mapped)
        assert len(parts.Parts(tmp_path, state, parts.OF_MEMBERS).kept()) == count
    of_members.clear()
    assert not kept.exists()
