#!/usr/bin/env bash
# Trains on GKE: a JobSet made from launch/gke_jobset.yaml, or a workload of xpk.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: launch/gke.sh --name=RUN --image=IMAGE [options] -- FLAGS OF main
  --name=RUN          of the workload: small letters, digits and hyphens
  --image=IMAGE       a container image with infovae_jax[tpu] installed and configs/
                      in its working directory
  --accelerator=TYPE  node label (default tpu-v5-lite-podslice)
  --topology=TxU      of the slice (default 4x4)
  --hosts=N           nodes of the slice (default 4)
  --chips=N           chips of a node (default 4)
  --volume=CLAIM      persistent volume claim mounted at /runs (default runs); give a
                      --workdir below /runs
  --xpk=CLUSTER       hand the workload to xpk on this cluster instead of kubectl
  --tpu_type=TYPE     xpk only (default v5litepod-16)
  --zone=ZONE         xpk only
  --dry_run           print the commands (and the JobSet), run nothing
  -h, --help          this text
A worker that is stopped (130, 143) or hangs (7) is started again and goes on from the
last checkpoint; wrong configs and data (2, 3) and other errors end the workload.
TEXT
}
# shellcheck source=options.sh
. "$(dirname "$0")/options.sh"
name='' image='' accelerator=tpu-v5-lite-podslice topology=4x4 hosts=4 chips=4
volume=runs xpk='' tpu_type=v5litepod-16 zone='' dry_run=0
parse_options "name= image= accelerator= topology= hosts= chips= volume= xpk= tpu_type= zone= dry_run" "$@"
set -- "${rest[@]}"
[[ -n $name && -n $image ]] || fail "--name and --image are needed"
[[ $name =~ ^[a-z]([-a-z0-9]*[a-z0-9])?$ ]] || fail "'$name' is no name for a workload"
# What goes into the YAML must not be able to end a quoted text there.
for value in "$image" "$accelerator" "$volume"; do
  [[ $value =~ ^[-A-Za-z0-9._/:@]+$ ]] || fail "odd characters in '$value'"
done
[[ $topology =~ ^[0-9]+(x[0-9]+)+$ ]] || fail "'$topology' is no topology"
[[ $hosts =~ ^[1-9][0-9]*$ && $chips =~ ^[1-9][0-9]*$ ]] || fail "no number of hosts or chips"
need_flags
flags=$(printf ' %q' "$@")
command="python -m infovae_jax.main --distributed$flags"
if [[ -n $xpk ]]; then
  [[ -n $zone ]] || fail "--zone is needed with --xpk"
  run xpk workload create "--cluster=$xpk" "--workload=$name" "--zone=$zone" \
    "--tpu-type=$tpu_type" "--docker-image=$image" "--command=$command"
  exit 0
fi
template=$(cat "$(dirname "$0")/gke_jobset.yaml")
# A block text takes any command; only its line breaks could leave it.
[[ $command != *$'\n'* ]] || fail "a line break in the flags"
values=(NAME "$name" IMAGE "$image" ACCELERATOR "$accelerator" TOPOLOGY "$topology"
  HOSTS "$hosts" CHIPS "$chips" VOLUME "$volume" COMMAND "$command")
for ((i = 0; i < ${#values[@]}; i += 2)); do
  # Quoted, so that an ampersand in a value stays one.
  template=${template//"@${values[i]}@"/"${values[i + 1]}"}
done
if ((dry_run)); then
  echo "kubectl apply -f - <<'YAML'"
  printf '%s\n' "$template" YAML
else
  printf '%s\n' "$template" | kubectl apply -f -
fi
