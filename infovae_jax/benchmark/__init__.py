"""Throughput, compile time, memory and share of the device's peak, beside peers.

    python -m infovae_jax.benchmark                     # a few minutes on two cores
    python -m infovae_jax.benchmark --cases=vae_conv64 --batch_sizes=128,1024
    python -m infovae_jax.benchmark --peers             # needs the `peers` extra
    python -m infovae_jax.benchmark --all --peers --out=FILE.json
    python -m infovae_jax.benchmark --recipes --peers   # as people train them
    python -m infovae_jax.benchmark --table=FILE.json   # Markdown
    python -m infovae_jax.benchmark --quality [--data=FILE.npz]

Every variant lives in a process of its own that stays alive; they take turns on
command (A, B, C, A, B, C, ...), so that a change of the machine's speed meets all of
them alike, and only ratios within one run are compared. The networks, the batch, the
optimiser (Adam, 1e-3), the threads and the precision are equal; the images are random
ones, as sparse as MNIST's. One default case is not an equal computation, and says so:
`catvae_topk` trains CatVAE by its unbiased estimate, beside peers that enumerate;
`--quality` trains both to the end and compares their bounds. `--recipes` takes whole
recipes with the batch size of their configs: InfoCatVAE with all its terms, N-VAE with
labels, MI-VAE, VIMAE with batch normalisation, InfomaxVAE with convolutions.

The modules: `cases` what is computed, `ours` and `torch_models`, `torch_recipes`,
`torch_loops`, `pythae_loop` who computes it, `workers` the processes and the turns,
`tables` the texts, `quality` the bounds after equal training, `command` the command
line. Commands of their own: `start` what the first command costs, `waits` the seconds
to a bound or a figure, `memory` the peaks of each phase, `everything` all of it.
"""
