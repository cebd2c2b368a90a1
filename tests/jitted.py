"""An objective with compiled functions: eagerly, dispatch is most of a test's time."""

import jax

# Positions of arguments that set shapes.
STATIC = {"sample": (2,), "sample_code": (2,)}
NAMES = (
    "init",
    "loss",
    "elbo",
    "log_weight",
    "encode",
    "classify",
    "decode",
    "sample",
    "draw",
    "sample_code",
    "log_densities",
)


def emitted(function):
    """`jax.jit` with loops as in production, not by the way that compiles more quickly.

    Where two programs of one computation are to agree to the last bits.
    """
    return jax.jit(function, compiler_options={"xla_cpu_use_fusion_emitters": True})


def jitted(objective):
    """The objective, each of its functions one program."""
    programs = {
        name: jax.jit(getattr(objective, name), static_argnums=STATIC.get(name, ()))
        for name in NAMES
        if getattr(objective, name) is not None
    }
    return objective._replace(**programs)
