"""Every system is there, and is what scikit-learn takes for an estimator."""

import pytest
from sklearn.utils import estimator_checks

import infovae_jax
from infovae_jax import objectives
from infovae_jax.estimators import loading

# Until clusters are found, where scikit-learn looks at them.
EPOCHS = {"CatVAE": 30, "InfoCatVAE": 80, "NVAE": 100}
CLASSES = sorted(loading.classes())
# These differ from VAE in their loss alone, which scikit-learn does not look at.
LIKE_VAE = {"BetaVAE", "EpsilonVAE", "InfoVAE", "IWAE", "VIMAE", "WAEMMD"}


def failures(estimator):
    """`name: error` of the checks that fail."""
    failed = []
    for model, check in estimator_checks.estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
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


@pytest.mark.process  # minutes; run by .ci/run
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LIKE_VAE else [])
        for name in CLASSES
    ],
)
def test_the_whole_contract(name):
    small = {"hidden": (16,), "epochs": EPOCHS.get(name, 10), "verbose": 0}
    assert failures(getattr(infovae_jax, name)(**small)) == []
