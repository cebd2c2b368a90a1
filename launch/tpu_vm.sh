#!/usr/bin/env bash
# Trains on a TPU VM or a pod slice: copies this clone to every worker, installs it
# there and runs the same command on all workers.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: launch/tpu_vm.sh --name=TPU --zone=ZONE [options] -- FLAGS OF main
  --name=TPU          a running TPU VM (gcloud compute tpus tpu-vm list)
  --zone=ZONE         its zone
  --project=PROJECT   if not gcloud's default
  --folder=DIR        of the clone on the workers, below the home (default infovae_jax)
  --skip_setup        the clone is there and installed
  --dry_run           print the commands, run nothing
  -h, --help          this text
Give a --workdir that worker 0 keeps or shares (a mounted bucket or NFS): checkpoints
are written and read by worker 0 alone.
Example: launch/tpu_vm.sh --name=pod --zone=us-central2-b -- \
  --config=configs/infocatvae.py:mnist --workdir=/mnt/runs/mnist
TEXT
}
# shellcheck source=options.sh
. "$(dirname "$0")/options.sh"
name='' zone='' project='' folder=infovae_jax skip_setup=0 dry_run=0
parse_options "name= zone= project= folder= skip_setup dry_run" "$@"
set -- "${rest[@]}"
[[ -n $name && -n $zone ]] || fail "--name and --zone are needed"
need_flags
where=(--worker=all "--zone=$zone")
[[ -z $project ]] || where+=("--project=$project")
here=$(cd "$(dirname "$0")/.." && pwd)
in_folder="cd $(printf '%q' "$folder")"
if ((!skip_setup)); then
  archive=${TMPDIR:-/tmp}/infovae_jax.tar.gz
  run tar -czf "$archive" -C "$here" \
    setup.py pyproject.toml README.md infovae_jax configs launch
  run gcloud compute tpus tpu-vm scp "$archive" "$name:infovae_jax.tar.gz" "${where[@]}"
  run gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" --command \
    "mkdir -p $(printf '%q' "$folder") && $in_folder && tar -xzf ~/infovae_jax.tar.gz && python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[tpu]'"
fi
flags=$(printf ' %q' "$@")
run gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" --command \
  "$in_folder && .venv/bin/python -m infovae_jax.main --distributed$flags"
