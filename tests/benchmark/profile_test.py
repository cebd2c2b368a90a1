"""Where the time of a step goes."""

import re

import jax
import jax.numpy as jnp
import pytest

from infovae_jax.benchmark import profile
from infovae_jax.errors import ConfigError
from infovae_jax.report import record, step_profiles
from infovae_jax.report.step_profiles import KINDS, PRODUCTS, RANDOM, UPDATE


class Program:
    """Some steps of descent on random data, as a variant of the benchmark."""

    def __init__(self):
        def step(weights, key):
            x = jax.random.normal(key, (64, 256))
            gradient = jax.grad(lambda w: (jnp.tanh(x @ w) ** 2).sum())(weights)
            return weights - 0.1 * gradient, None

        def run(weights, keys):
            return jax.lax.scan(step, weights, keys)[0]

        self.inputs = jnp.ones((256, 256)), jax.random.split(jax.random.key(0), 5)
        self.compiled = jax.jit(run).lower(*self.inputs).compile()

    def call(self):
        self.compiled(*self.inputs).block_until_ready()


@pytest.fixture(scope="module")
def program():
    return Program()


def test_operations_are_told_apart_and_timed(program):
    kind_of = profile.kinds(program.compiled.as_text())
    assert set(kind_of.values()) <= set(KINDS)
    assert {PRODUCTS, RANDOM} <= set(kind_of.values())
    events = profile._timed(program)
    found = profile.shares(events, kind_of)
    assert list(found) == list(KINDS)
    assert sum(found.values()) == pytest.approx(1.0)
    # Of several calls the best: another process may take the core in the middle of one.
    again = [profile.shares(profile._timed(program), kind_of) for _ in range(4)]
    for kind in (PRODUCTS, RANDOM):
        assert max(shares[kind] for shares in (found, *again)) > 0.05
    # Five steps, each with the product and that of its gradient.
    products = [name for name, _ in events if kind_of.get(name) == PRODUCTS]
    assert len(products) == 10


def test_outer_operations_are_not_counted_twice(program):
    text = program.compiled.as_text()
    loops = re.findall(r"%([\w.-]+) = .* while\(", text)
    assert loops
    assert not set(loops) & set(profile.kinds(text))


def test_what_is_not_under_the_gradient_is_the_update():
    hlo = """
HloModule jit_run

%fused_computation (param_0: f32[4,4]) -> f32[4,4] {
  %param_0 = f32[4,4]{1,0} parameter(0)
  ROOT %dot.3 = f32[4,4]{1,0} dot(%param_0, %param_0), lhs_contracting_dims={1}
}

ENTRY %main (p: f32[4,4]) -> f32[4,4] {
  %p = f32[4,4]{1,0} parameter(0)
  %ynn_fusion = f32[4,4]{1,0} fusion(%p), kind=kCustom, calls=%fused_computation
  %add_fusion = f32[4,4]{1,0} add(%p, %p), metadata={op_name="jit(run)/body/add"}
  ROOT %tanh = f32[4,4]{1,0} tanh(%p), metadata={op_name="jit(run)/body/jvp(f)/tanh"}
}
"""
    found = profile.kinds(hlo)
    assert found["ynn_fusion"] == PRODUCTS
    assert found["add_fusion"] == UPDATE
    assert found["tanh"] == step_profiles.ELEMENTWISE


def test_nothing_timed_is_told():
    with pytest.raises(ConfigError, match="timed no operation"):
        profile.shares([("unknown", 1.0)], {"dot": PRODUCTS})


def test_the_table_and_a_file_that_is_not_there(tmp_path):
    shares = {kind: [0.1] for kind in KINDS} | {PRODUCTS: [0.6]}
    case = {
        "case": "vae_mlp",
        "batch_size": 128,
        "precision": "float32",
        "share_of_matmul": [0.54],
        "shares": shares,
    }
    place = {"commit": "c", "jax": "0", "processor": "p", "cores": "2"}
    made = step_profiles.Profiles("a command", place, [case])
    path = tmp_path / "results" / "speed" / "profile.json"
    assert "Not measured yet" in step_profiles.part(tmp_path, "profile")[0]
    record.write(made, path)
    lines = step_profiles.part(tmp_path, "profile")
    assert lines[-1] == ("| vae_mlp | 128 | 54% | 90% | 60% | 10% | 10% | 10% | 10% |")
    path.write_text("{}")
    with pytest.raises(ConfigError, match="no profiles"):
        step_profiles.part(tmp_path, "profile")
