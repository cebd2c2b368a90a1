#!/usr/bin/env bash
# Trains on one host with several GPUs. One process drives them all; --processes=N
# starts N processes instead, one a GPU, as on a cluster.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: launch/one_host.sh [options] -- FLAGS OF main
  --processes=N   one process a GPU (default 1: one process for all GPUs)
  --gpus=LIST     which, such as 0,2 (default: all that are visible; with
                  --processes=N the first N)
  --port=PORT     of the coordinator on this host (default 12355)
  --cpu           no GPU: N processes on the CPU, to try things out
  --dry_run       print the commands, run nothing
  -h, --help      this text
The exit code is that of process 0, or of another that failed where it did not.
Example: launch/one_host.sh --processes=4 -- --config=configs/infocatvae.py:mnist
TEXT
}
# shellcheck source=options.sh
. "$(dirname "$0")/options.sh"
processes=1 gpus='' port=12355 cpu=0 dry_run=0
parse_options "processes= gpus= port= cpu dry_run" "$@"
set -- "${rest[@]}"
[[ $processes =~ ^[1-9][0-9]*$ && $port =~ ^[0-9]+$ ]] || fail "a number is wanted"
need_flags
list=()
if [[ -n $gpus ]]; then
  IFS=, read -ra list <<<"$gpus"
elif ((processes > 1)); then
  for ((i = 0; i < processes; i++)); do list+=("$i"); done
fi
((processes == 1 || ${#list[@]} == processes)) ||
  fail "${#list[@]} GPUs for $processes processes"

# Sets `command` to that of process $1.
make_command() {
  command=(env)
  if ((cpu)); then
    command+=(JAX_PLATFORMS=cpu)
  elif ((processes > 1)); then
    command+=("CUDA_VISIBLE_DEVICES=${list[$1]}")
  elif ((${#list[@]})); then
    command+=("CUDA_VISIBLE_DEVICES=$gpus")
  fi
  command+=(python -m infovae_jax.main)
  if ((processes > 1)); then
    command+=("--coordinator=127.0.0.1:$port" "--num_processes=$processes"
      "--process_id=$1")
  fi
  command+=("${@:2}")
}
children=()
for ((i = 0; i < processes; i++)); do
  make_command "$i" "$@"
  if ((dry_run)); then
    run "${command[@]}"
  else
    "${command[@]}" &
    children+=("$!")
  fi
done
((dry_run)) && exit 0
# One signal tells all: the processes agree on the step to stop at.
trap 'kill -TERM "${children[@]}" 2>/dev/null || true' TERM INT
code=0
for child in "${children[@]}"; do
  found=0
  wait "$child" || found=$?
  while kill -0 "$child" 2>/dev/null; do
    found=0
    wait "$child" || found=$?
  done
  ((code != 0)) || code=$found
done
exit "$code"
