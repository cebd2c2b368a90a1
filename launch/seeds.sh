#!/usr/bin/env bash
# Trains one config with several seeds, one after another, and prints the spread. The
# folders under runs/ are named by config and flags, so that the same command goes on.
#
#   launch/seeds.sh configs/infocatvae.py "0 1 2 3 4" [further flags of main]
set -euo pipefail
config=${1:?"usage: launch/seeds.sh CONFIG[:preset] \"SEEDS\" [flags]"}
seeds=${2:?"usage: launch/seeds.sh CONFIG[:preset] \"SEEDS\" [flags]"}
shift 2
name=$(basename "${config/.py/}")
for flag in "$@"; do
  name+="-${flag#--config.}"
done
name=$(printf '%s' "$name" | tr -c 'A-Za-z0-9._' '-')
workdirs=()
for seed in $seeds; do
  workdir="runs/${name}-seeds/${seed}"
  python -m infovae_jax.main --config="$config" --config.seed="$seed" \
    --workdir="$workdir" "$@"
  workdirs+=("$workdir")
done
python -m infovae_jax.report.summary "${workdirs[@]}"
