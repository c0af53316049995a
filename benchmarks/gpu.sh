#!/usr/bin/env bash
# Every row that waits for a GPU, each job under ten minutes and resumable.
#   benchmarks/gpu.sh DATA OUT [JOB ...]     DATA: folder of data sets; OUT: where runs are left
# Jobs: epoch ff-mnist bp-mnist. Without names, all of them in turn.
set -euo pipefail
data=$1; out=$2; shift 2
jobs=("$@"); [ ${#jobs[@]} -gt 0 ] || jobs=(epoch ff-mnist bp-mnist)
onward() { python3 -m onward "$@"; }

for job in "${jobs[@]}"; do
  echo "== $job"
  case $job in
    epoch)
      for precision in fp32 bf16; do
        python3 benchmarks/epoch.py --data "$data/mnist" --device cuda --precision "$precision" --threads 4
      done ;;
    ff-mnist|bp-mnist)
      for seed in 0 1 2; do
        run=$out/$job-cuda/seed-$seed
        if [ -e "$run/record.json" ]; then onward resume "$run" --data "$data/mnist" || true
        else onward run "$job" --seed "$seed" --device cuda --data "$data/mnist" --out "$run" --threads 4; fi
      done ;;
    *) echo "no job $job" >&2; exit 2 ;;
  esac
done
