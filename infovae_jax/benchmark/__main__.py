"""`python -m infovae_jax.benchmark`."""

from infovae_jax.benchmark.command import main

if __name__ == "__main__":
    main()
