"""`python -m infovae_jax.benchmark`."""

from infovae_jax.benchmark.command import main
from infovae_jax.training import output

if __name__ == "__main__":
    output.keep_harmless()
    main()
