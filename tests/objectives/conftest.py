"""Objectives are built compiled: a test of one calls its functions many times."""

import functools

import pytest
from jitted import jitted

from infovae_jax import objectives


def _make(make, config, spec, *own):
    return jitted(make(config, spec, *own))


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    for name in objectives.names():
        module = objectives.load(name)
        monkeypatch.setattr(module, "make", functools.partial(_make, module.make))
