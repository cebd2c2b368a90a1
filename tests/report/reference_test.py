"""The page of all keys is that of the declarations."""

from infovae_jax import objectives
from infovae_jax.config import groups, knobs
from infovae_jax.report import reference


def test_the_page_is_current():
    """If not: python -m infovae_jax.report.reference --write."""
    assert reference.PAGE.read_text() == reference.page()


def test_every_key_stands_there_with_its_meaning():
    text = reference.page()
    for group in (groups.Run, *groups.BY_NAME.values()):
        for name, declaration in knobs.declared(group).items():
            assert f".{name}`" in text or f"`{name}`" in text
            assert declaration.meaning.replace("|", "\\|") in text
    for name in objectives.names():
        module = objectives.load(name)
        for weight in module.HPARAMS.values():
            assert weight.meaning
        assert all(k.meaning for k in knobs.declared(module.Config).values())
