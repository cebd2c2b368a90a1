"""A population of seeds against the same seeds one after the other.

    python -m infovae_jax.benchmark.population [--case=vae_mlp] [--hidden=64,500]

The ways take turns in one process, so that a change of the machine's speed meets all
of them alike. The VAE on random images of MNIST's size, batch 128, Adam, float32; the
figure is how many times faster than the single runs, of which each is one jitted
program of many steps, as in training.
"""

import argparse
import json
import pathlib
import statistics

from infovae_jax.benchmark import cases, race
from infovae_jax.training import output

SEQUENTIAL = "one by one"


def make_ways(
    case: str, hidden: int, num_members: int, num_steps: int, chunk: int
) -> dict:
    """Name -> a function that takes `num_steps` steps of every member."""
    import jax
    import numpy as np

    from infovae_jax import objectives
    from infovae_jax.config import sweeps
    from infovae_jax.data import batches
    from infovae_jax.training import optimizer, population, sharding, train_step

    case = cases.parse(case)
    config = cases.make_config(case)
    config.network.encoder_hidden = config.network.decoder_hidden = (hidden, hidden)
    images = cases.random_images(case)
    objective = objectives.make(config, case.spec(len(images)))
    transform = optimizer.make_optimizer(config.optimizer, 1, 1)
    step = train_step.make_train_step(objective, transform, {})
    multi_step = train_step.make_multi_step(step)
    members = [sweeps.Member(seed, {}) for seed in range(num_members)]
    mesh = sharding.make_member_mesh(0, num_members)
    own = sharding.batch_sharded(mesh)
    data = jax.device_put(images, sharding.replicated(mesh))
    rows = np.stack(
        [
            batches.batch_indices(seed, 0, num_steps, len(images), case.batch_size)
            for seed in range(num_members)
        ]
    )
    single = jax.jit(multi_step, donate_argnums=0)
    single_data = jax.device_put(images)
    init = jax.jit(lambda: population.init_population(objective, transform, members))
    states = [population.take_member(init(), seed) for seed in range(num_members)]

    def one_by_one():
        for seed in range(num_members):
            states[seed], means = single(states[seed], single_data, rows[seed])
            means["loss_last"].block_until_ready()

    def mapped(strategy):
        every = population.make_population_step(multi_step, strategy, chunk, mesh)
        every = jax.jit(every, donate_argnums=0, out_shardings=own)
        held, placed = [jax.device_put(init(), own)], jax.device_put(rows, own)

        def run():
            held[0], means = every(held[0], data, placed)
            means["loss_last"].block_until_ready()

        return run

    return {
        SEQUENTIAL: one_by_one,
        **{strategy: mapped(strategy) for strategy in population.STRATEGIES},
    }


def measure(ways: dict, rounds: int) -> dict[str, dict]:
    """Seconds of every way in every round, and how much faster than SEQUENTIAL."""
    seconds = race.timed_rounds(ways, rounds)
    result = {}
    for name, taken in seconds.items():
        faster, spread = race.ratio(seconds[SEQUENTIAL], taken)
        result[name] = {"seconds": taken, "faster": faster, "range": spread}
    return result


def main() -> None:
    """Runs the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", default="vae_mlp", help="see `cases`")
    parser.add_argument("--hidden", default="64,500", help="units of both layers")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of each member a turn")
    parser.add_argument("--chunk", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="JSON file for the figures")
    options = parser.parse_args()
    results = {}
    for hidden in map(int, options.hidden.split(",")):
        ways = make_ways(
            options.case, hidden, options.members, options.steps, options.chunk
        )
        results[hidden] = measure(ways, options.rounds)
        print(
            f"{options.case}: {options.members} members, {hidden} units, "
            f"{options.steps} steps"
        )
        for name, row in results[hidden].items():
            low, high = row["range"]
            print(
                f"  {name:<12} {statistics.median(row['seconds']):8.2f} s "
                f"{row['faster']:6.2f} x ({low:.2f}..{high:.2f})",
                flush=True,
            )
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    output.keep_harmless()
    main()
