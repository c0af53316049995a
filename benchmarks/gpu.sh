#!/usr/bin/env bash
# Every row that waits for a GPU, each job under ten minutes and resumable.
#   benchmarks/gpu.sh DATA OUT [JOB ...]     DATA: folder of data sets; OUT: where runs are left
# Jobs: epoch ff-mnist bp-mnist, ff-free-mnist ff-local-mnist ff-mnist-4x2000 ff-mnist-4x2000-fast
# ff-recurrent-mnist ff-jitter-mnist bp-cifar10 ff-cifar10 (until they say that nothing is left), uff-DATA, theta-DATA and
# collab-DATA for DATA mnist, fashion and cifar10, goodness, phases, blackbox, hinton, cost. Without names, all of them in turn.
# And federation, by name only: it wants Flower there.
# Thresholds that theta-DATA finds go by hand into FACTORS of recipes/collab.py, before collab-DATA.
set -euo pipefail
data=$1; out=$2; shift 2
hinton=(ff-free-mnist ff-local-mnist ff-mnist-4x2000{,-fast} ff-recurrent-mnist ff-jitter-mnist {bp,ff}-cifar10)
jobs=("$@"); [ ${#jobs[@]} -gt 0 ] || jobs=(epoch ff-mnist bp-mnist "${hinton[@]}" {uff,theta,collab}-{mnist,fashion,cifar10} goodness phases blackbox hinton cost)
onward() { python3 -m onward "$@"; }

# Small steps leave a GPU idle most of the time: many runs at once fill it. What is stopped here
# after nine minutes goes on where it was, when the same job is called again.
nine_minutes() {
  timeout --signal=INT 540 python3 -m onward "$@" --jobs 12 --device cuda --out "$out/table" --results "$out/results" \
    || [ $? -eq 130 ] || [ $? -eq 124 ]
}

# One seed of a recipe and the controls beside it, for nine minutes from where they were.
one_seed() {
  local run=$out/$1-cuda/seed-$2 code=0 words
  if [ -e "$run/record.json" ]; then words=(resume "$run")
  else words=(run "$1" --seed "$2" --device cuda --threads 1 --out "$run"); fi
  timeout --signal=INT 540 python3 -m onward "${words[@]}" --data "$data" 2>"$run.log" || code=$?
  case $code in
    0) echo "$1, seed $2: finished" ;;
    124|130) echo "$1, seed $2: goes on when called again" ;;
    *) tail -3 "$run.log"; grep -q 'nothing is left to do' "$run.log" ;;
  esac
}

for job in "${jobs[@]}"; do
  echo "== $job"
  case $job in
    epoch)
      for precision in fp32 tf32 bf16; do
        python3 benchmarks/epoch.py --data "$data/mnist" --device cuda --precision "$precision" --threads 4
      done
      python3 benchmarks/reference.py --data "$data/mnist" --device cuda --threads 4 --workers 8
      python3 -m pytest -q tests/test_graphs.py || echo "tests of replayed steps failed" ;;
    ff-mnist|bp-mnist)
      for seed in 0 1 2; do
        run=$out/$job-cuda/seed-$seed
        if [ -e "$run/record.json" ]; then onward resume "$run" --data "$data/mnist" || true
        else onward run "$job" --seed "$seed" --device cuda --data "$data/mnist" --out "$run" --threads 4; fi
      done ;;
    ff-free-mnist|ff-local-mnist|ff-mnist-4x2000*|ff-recurrent-mnist|ff-jitter-mnist|bp-cifar10|ff-cifar10)
      mkdir -p "$out/$job-cuda"; seeds=()
      for seed in 0 1 2; do one_seed "$job" "$seed" & seeds+=($!); done
      for seed in "${seeds[@]}"; do wait "$seed"; done ;;
    uff-*) nine_minutes table uff --only "${job#uff-}" --seeds 0-2 --data "$data" ;;
    theta-*) nine_minutes table theta --only "$job" --seeds 0-2 --data "$data" ;;
    collab-*) nine_minutes table collaboration --only "$job" --seeds 0-2 --data "$data" ;;
    goodness|phases|blackbox|hinton|federation) nine_minutes table "$job" --seeds 0-2 --data "$data" ;;
    cost) nine_minutes bench cost --seeds 0-2 --data "$data/mnist" ;;
    *) echo "no job $job" >&2; exit 2 ;;
  esac
done
