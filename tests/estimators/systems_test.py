"""Every system is there, and is what scikit-learn takes for an estimator."""

import pytest
from sklearn.utils import estimator_checks

import infovae_jax
from infovae_jax import objectives
from infovae_jax.estimators import loading

SMALL = {"hidden": (16,), "epochs": 100, "verbose": 0}
CLASSES = sorted(loading.classes())
# Enough to notice what breaks the contract, in a few seconds.
FEW = {
    "check_dict_unchanged",
    "check_dont_overwrite_attributes",
    "check_estimators_nan_inf",
    "check_estimators_unfitted",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
}


def failures(estimator, names=None):
    """`name: error` of the checks that fail."""
    failed = []
    for model, check in estimator_checks.estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if names is not None and name not in names:
            continue
        try:
            check(model)
        except estimator_checks.SkipTest:
            continue
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__} {error}")
    return failed


def test_every_objective_has_its_estimator():
    assert {c.objective for c in loading.classes().values()} == set(objectives.names())
    for name in CLASSES:
        assert getattr(infovae_jax, name) is loading.classes()[name]
        assert name in dir(infovae_jax)
    with pytest.raises(AttributeError, match="no attribute 'VAEE'"):
        _ = infovae_jax.VAEE


# A system of codes and one of clusters. The others share their code: theirs is whole by
# hand, with -m slow.
WHOLE = ("VAE", "InfoCatVAE")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in CLASSES if name not in WHOLE])
def test_some_of_the_contract(name):
    assert failures(getattr(infovae_jax, name)(**SMALL), FEW) == []


@pytest.mark.process  # minutes; run by .ci/run
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in WHOLE else [pytest.mark.slow])
        for name in CLASSES
    ],
)
def test_the_whole_contract(name):
    assert failures(getattr(infovae_jax, name)(**SMALL)) == []
