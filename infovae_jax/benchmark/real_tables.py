"""Clusters of real tables, beside k-means on the same standardised columns.

    python -m infovae_jax.benchmark.real_tables [--data=iris,wine] [--seeds=10]
        [--folder=results]

scikit-learn's own sets of numeric columns, as many clusters as there are classes, the
shipped recipe for tables, every row in the fit; labels score, and choose nothing. Each
set gives a record, `<folder>/infocatvae_table_<set>.json`, of `cluster/accuracy` and
`kmeans/accuracy` of every seed. scikit-learn's k-means with ten starts a seed.
"""

import argparse
import pathlib
import time

import numpy as np
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from infovae_jax import config as config_lib
from infovae_jax.data import digest
from infovae_jax.errors import ConfigError, ending_in_one_line, unknown
from infovae_jax.estimators import InfoCatVAE
from infovae_jax.evaluation import clustering
from infovae_jax.report import record, summary
from infovae_jax.training import output

SETS = ("iris", "wine", "breast_cancer", "digits")
STARTS = 10
SCORES = {
    "accuracy": clustering.clustering_accuracy,
    "nmi": clustering.normalized_mutual_information,
    "ari": clustering.adjusted_rand_index,
}


def measure(name: str, seeds: list[int], command: str, say=print) -> record.Record:
    """The record of a set: our clusters and those of k-means, of each seed.

    Args:
      name: one of SETS.
      seeds: of both methods.
      command: for the record.
      say: told of each seed.
    """
    x, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    standardised = StandardScaler().fit_transform(x)
    num_clusters = len(np.unique(labels))
    figures: dict[str, list] = {}
    minutes = []
    for seed in seeds:
        began = time.perf_counter()
        options = {"scaling": "standardize", "random_state": seed, "verbose": 0}
        model = InfoCatVAE(n_clusters=num_clusters, **options).fit(x)
        minutes.append(round((time.perf_counter() - began) / 60, 3))
        peer = KMeans(num_clusters, n_init=STARTS, random_state=seed)
        peer.fit(standardised)
        for method, found in (("cluster", model.labels_), ("kmeans", peer.labels_)):
            for score, function in SCORES.items():
                value = float(function(found, labels))
                figures.setdefault(f"{method}/{score}", []).append(value)
        own, other = (figures[f"{m}/accuracy"][-1] for m in ("cluster", "kmeans"))
        say(f"{name}, seed {seed}: accuracy {own:.3f}, k-means {other:.3f}")
    config = config_lib.from_json(model._config).to_dict()
    shared = {k: v for k, v in config.items() if k not in ("seed", "num_seeds")}
    data = {"rows": digest.of_array(np.asarray(x, np.float32))}
    made_by = record.environment()
    return record.Record(command, shared, seeds, figures, {}, minutes, data, made_by)


def parse_options(arguments=None) -> argparse.Namespace:
    """Options of the command line, checked.

    Raises:
      ConfigError: an unknown set, or no seeds.
    """
    parser = summary.Parser(prog="python -m infovae_jax.benchmark.real_tables")
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--folder", type=pathlib.Path, default=record.FOLDER)
    options = parser.parse_args(arguments)
    options.data = options.data.split(",")
    for name in options.data:
        if name not in SETS:
            raise unknown("set", name, SETS, "--data")
    if options.seeds < 1:
        raise ConfigError("nothing to measure", "--seeds", "give at least 1")
    return options


def main() -> None:
    """Measures the sets and writes their records."""
    with ending_in_one_line():
        options = parse_options()
        for name in options.data:
            command = (
                f"python -m infovae_jax.benchmark.real_tables --data={name} "
                f"--seeds={options.seeds}"
            )
            found = measure(name, list(range(options.seeds)), command)
            path = options.folder / f"infocatvae_table_{name}.json"
            record.write(found, path)
            for method in ("cluster", "kmeans"):
                mean, deviation, _ = record.spread(found.figures[f"{method}/accuracy"])
                around = "" if deviation is None else f" +- {deviation:.3f}"
                print(f"{name}: {method}/accuracy {mean:.3f}{around}")
            print(f"wrote {path}", flush=True)


if __name__ == "__main__":
    output.keep_harmless()
    main()
