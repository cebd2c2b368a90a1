#!/usr/bin/env bash
# Tables III to V of the VIMAE paper (arXiv 1905.10549): trains every method with every
# seed, measures a transductive SVM on its codes (clean, noisy, masked) and prints the
# table, which is also written as JSON.
#
#   launch/robustness.sh [mnist|omniglot|cifar10] "SEEDS" [--dry_run] [--network=mlp|conv]
#       [further flags of main, such as --config.train.num_epochs=5]
#
# Codes have 8 dims (mnist, omniglot) or 64 (cifar10), as in the paper; beta is 4 and
# epsilon 0.1, which the paper does not give. The networks are the MLP of the configs
# (500-500 on grey images) or, with --network=conv, encoder channels 128-256-512-1024
# with batch normalisation, near to the paper's and meant for an accelerator. Omniglot
# and CIFAR-10 read the files of launch/prepare_omniglot.py and prepare_cifar10.py;
# name another with --config.data.source=FILE.npz. The NLL, no part of the table, gets
# 50 importance samples. Runs go to $RUNS (default: runs).
set -euo pipefail
usage="usage: launch/robustness.sh [mnist|omniglot|cifar10] \"SEEDS\" [flags]"
preset=${1:?"$usage"}
seeds=${2:?"$usage"}
shift 2
flags=() dry_run="" network=default
for argument in "$@"; do
  case $argument in
    --dry_run) dry_run=1 ;;
    --network=*) network=${argument#*=} ;;
    *) flags+=("$argument") ;;
  esac
done
root="${RUNS:-runs}/robustness-${preset}"
grey=1 latent_dim=8
case $preset in
  mnist | omniglot) ;;
  cifar10) grey="" latent_dim=64 ;;
  *) echo "error: unknown data '$preset'; first argument; $usage" >&2; exit 2 ;;
esac
case $network in
  default) ;;
  mlp) flags=(--config.network.kind=mlp "${flags[@]}") ;;
  conv) flags=(--config.network.kind=conv
    "--config.network.conv_channels=(128,256,512,1024)" --config.network.conv_hidden=0
    --config.network.normalization=batch "${flags[@]}") ;;
  *) echo "error: unknown network '$network'; --network; use mlp or conv" >&2; exit 2 ;;
esac

run() {
  if [[ -n $dry_run ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

workdirs=()
train() { # name, config, further flags of the method
  local name=$1 config=$2 seed workdir
  shift 2
  for seed in $seeds; do
    workdir="${root}/${name}/${seed}"
    run python -m infovae_jax.main --config="configs/${config}.py:${preset}" \
      --config.seed="$seed" --config.evaluation.nll_samples=50 --config.model.latent_dim="$latent_dim" \
      "$@" ${flags[@]+"${flags[@]}"} --workdir="$workdir"
    run python -m infovae_jax.main --mode=evaluate --metrics=representation \
      --workdir="$workdir"
    workdirs+=("$workdir")
  done
}

# Colours have no Bernoulli: a Gaussian, its scale learned where the rate counts. The
# paper's weight of 100 beside 0.05 * squared error on [-1, 1] is 250 beside half of the
# squared error on [0, 1].
bound=() matched=() mmd=()
if [[ -z $grey ]]; then
  bound=(--config.data.likelihood=learned_gaussian)
  matched=(--config.data.likelihood=gaussian)
  mmd=(--config.weights.mmd=250.0)
fi
for method in vae beta_vae epsilon_vae; do
  train "$method" "$method" ${bound[@]+"${bound[@]}"}
done
train info_vae info_vae ${matched[@]+"${matched[@]}"}
train vimae_n vimae --config.model.prior=normal \
  ${matched[@]+"${matched[@]}"} ${mmd[@]+"${mmd[@]}"}
train vimae_l vimae --config.model.prior=logistic \
  ${matched[@]+"${matched[@]}"} ${mmd[@]+"${mmd[@]}"}
run python -m infovae_jax.report.robustness "${workdirs[@]}" \
  --json="${root}/robustness.json"
