#!/usr/bin/env bash
# Trains under SLURM: submits itself with sbatch, runs one task a GPU (or node) with
# srun, and queues itself again where going on makes sense.
#
# Ends by signal (130, 143) with the state saved, and hangs (7) are queued again; wrong
# configs and data (2, 3) and all other errors stop.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: launch/slurm.sh [options] -- FLAGS OF main
  --nodes=N           (default 1)
  --tasks_per_node=N  processes of a node (default one a GPU; each sees one GPU only)
  --gpus_per_node=N   (default 0: CPU)
  --time=HH:MM:SS     (default 12:00:00)
  --partition=NAME
  --python=PATH       on the nodes (default python)
  --max_restarts=N    how often it is queued again (default 50)
  --dry_run           print the command, run nothing
  -h, --help          this text
Give a --workdir on a file system that the nodes share.
Example: launch/slurm.sh --nodes=2 --gpus_per_node=4 -- \
  --config=configs/infocatvae.py:mnist --workdir=runs/mnist
TEXT
}

# The second half: inside the job, where sbatch passed the two variables.
run_job() {
  local child code=0
  # SLURM signals this shell two minutes before the limit (--signal=B:TERM@120).
  trap 'kill -TERM "$child" 2>/dev/null || true' TERM
  srun --kill-on-bad-exit=0 "$INFOVAE_PYTHON" -m infovae_jax.main --distributed "$@" &
  child=$!
  # A trapped signal ends the first wait early; the second one gets the exit code.
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do
    code=0
    wait "$child" || code=$?
  done
  case $code in
    7 | 130 | 143)
      if ((${SLURM_RESTART_COUNT:-0} >= INFOVAE_RESTARTS)); then
        echo "exit code $code: stopped after $INFOVAE_RESTARTS restarts" >&2
        exit "$code"
      fi
      echo "exit code $code: queued again" >&2
      scontrol requeue "$SLURM_JOB_ID"
      ;;
    0) ;;
    *)
      echo "exit code $code: not queued again" >&2
      exit "$code"
      ;;
  esac
}
if [[ ${INFOVAE_IN_JOB:-} == 1 ]]; then
  run_job "$@"
  exit 0
fi

# Below the job's half: sbatch runs a copy of this file, which has no neighbours.
# shellcheck source=options.sh
. "$(dirname "$0")/options.sh"
nodes=1 tasks_per_node='' gpus_per_node=0 time=12:00:00 partition='' python=python
max_restarts=50 dry_run=0
options="nodes= tasks_per_node= gpus_per_node= time= partition= python= max_restarts="
parse_options "$options dry_run" "$@"
set -- "${rest[@]}"
for value in "$nodes" "${tasks_per_node:-1}" "$gpus_per_node" "$max_restarts"; do
  [[ $value =~ ^[0-9]+$ ]] || fail "'$value' is no number"
done
[[ -n $tasks_per_node ]] ||
  tasks_per_node=$((gpus_per_node > 1 ? gpus_per_node : 1))
# sbatch separates the variables of --export by commas.
[[ $python != *,* ]] || fail "a comma in --python"
need_flags
submit=(sbatch --job-name=infovae "--nodes=$nodes" "--ntasks-per-node=$tasks_per_node"
  "--time=$time" --requeue --open-mode=append --signal=B:TERM@120
  "--export=ALL,INFOVAE_IN_JOB=1,INFOVAE_PYTHON=$python,INFOVAE_RESTARTS=$max_restarts")
[[ -z $partition ]] || submit+=("--partition=$partition")
((gpus_per_node == 0)) || submit+=("--gpus-per-node=$gpus_per_node")
submit+=("$0" "$@")
run "${submit[@]}"
