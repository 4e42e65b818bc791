#!/usr/bin/env bash
# The whole chain, from demonstrations to a trained driver, with as many workers as the machine holds.
set -euo pipefail

usage="usage: ./train_optimized.sh [--quick] [--dry-run] [--vehicle NAME|FILE] [--out DIR]
                            [--cluster ADDRESS] [--conditions nominal|road]

  --quick    the same chain with small budgets: less than four minutes on two cores
  --dry-run  print worker counts and commands, run nothing
  --vehicle NAME|FILE  the car: a shipped one by its name, or a file: TOML, racecar.ini, F1TENTH's
             YAML (racecar)
  --out DIR  where everything goes (runs/default, with --quick runs/quick; with --vehicle runs/NAME,
             runs/NAME-quick); a second start with the same folder skips the stages that are
             finished and goes on with the others
  --conditions nominal|road  road: one more stage, and a driver who adapts to a car and a road that
             are not quite as he knows them (road; with --quick nominal)
  --cluster ADDRESS  a Ray cluster whose CPUs do the work: auto or HOST:PORT, see docs/cluster.md
Environment: DEMO_WORKERS, BC_WORKERS (0: in the main process), BC_DRIVE_WORKERS, RL_ENVS and SEED
override."

bad_input() {
    echo "error: $*" >&2
    exit 2
}

# ---- Flags, seed and budgets --------------------------------------------------------------------
mode=full dry_run="" out="" vehicle="" cluster="" conditions="" start_folder=$PWD
while (($#)); do
    case $1 in
    --quick) mode=quick ;;
    --dry-run) dry_run=yes ;;
    --out) [[ -n ${2:-} && $2 != -* ]] || bad_input "--out needs a folder" && out=$2 && shift ;;
    --vehicle) [[ -n ${2:-} && $2 != -* ]] || bad_input "--vehicle needs a name or a file" && vehicle=$2 && shift ;;
    --cluster) [[ -n ${2:-} && $2 != -* ]] || bad_input "--cluster needs an address" && cluster=$2 && shift ;;
    --conditions)
        [[ ${2:-} == nominal || ${2:-} == road ]] || bad_input "--conditions '${2:-}': nominal or road is needed"
        conditions=$2 && shift
        ;;
    --help | -h) echo "$usage" && exit ;;
    *) bad_input "unknown argument '$1'; --help lists what there is" ;;
    esac
    shift
done
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" >/dev/null
source scripts/bootstrap.sh
source scripts/machine.sh
source scripts/stages.sh

car=()
if [[ -n $vehicle ]]; then
    if [[ $vehicle == */* || ! -f racing_env/car/shipped/$vehicle.toml ]]; then
        if [[ $vehicle != /* ]]; then vehicle=$start_folder/$vehicle; fi
        [[ -f $vehicle ]] || bad_input "--vehicle $vehicle: no such car or file"
    fi
    car=(--vehicle "$vehicle")
fi
if [[ -z $conditions ]]; then if [[ $mode == quick ]]; then conditions=nominal; else conditions=road; fi; fi
# full: the scripts' own defaults
demo_budget=() bc_budget=() rl_budget=() circuits=random:1000:20
train_on=random:1:300 judge_on=random:500:160
if [[ $mode == quick ]]; then
    circuits=random:1000:6 judge_on=random:500:40
    demo_budget=(--episodes 60 --track random:1:60)
    bc_budget=(--epochs 30 --dagger-rounds 3 --judge-on $judge_on)
    rl_budget=(--timesteps 28000000 --judge-on $judge_on)
fi
if [[ -z $out ]]; then
    case $mode$vehicle in
    full) out=runs/default ;;
    quick) out=runs/quick ;;
    *) out=${vehicle##*/} out=runs/${out%.*} && if [[ $mode == quick ]]; then out+=-quick; fi ;;
    esac
elif [[ $out != /* && $start_folder != "$PWD" ]]; then
    out=$start_folder/$out
fi

# ---- Workers: counted before any thread limit is set, lowered to what the machine holds ----------
# Each stage's main process, and each of its workers: no less than in benchmarks/results/memory*.json
demo_base_mb=500 bc_base_mb=900 rl_base_mb=1600
demo_mb=110 bc_mb=120 rl_mb=200
ahead_mb=550 # of what prepares for reinforcement learning, beside the largest of them
base_files=128 worker_files=32 # main process, each worker

cores=$(core_count)
demo_workers=$(count_setting DEMO_WORKERS 1 "$(at_least 1 $((cores - 1)))")
bc_workers=$(count_setting BC_WORKERS 0 "$(at_least 1 $((cores / 2)))")
bc_drivers=$(count_setting BC_DRIVE_WORKERS 1 "$(at_least 1 $((bc_workers ? cores - 1 : 1)))")
rl_envs=$(count_setting RL_ENVS 1 "$(at_least 1 "$(at_most 8 $((cores - 1)))")")
seed=$(count_setting SEED 0 0)

most_workers=$(at_least "$demo_workers" "$(at_least "$bc_workers" "$rl_envs")")
most_workers=$(at_least "$most_workers" "$((bc_workers + bc_drivers))")
most_workers=$(at_least "$most_workers" "$cores") # of an evaluation
raise_open_files $((base_files + most_workers * worker_files))
memory_mb=$(available_memory_mb)
within_limits() { # WHAT COUNT BASE_MB MB: COUNT, or as many as memory and open files are enough for
    local count
    count=$(lowered "$1" "$2" $(((memory_mb - $3) / $4)) "$memory_mb MB of memory are available")
    lowered "$1" "$count" $(((OPEN_FILES - base_files) / worker_files)) "only $OPEN_FILES files may be open"
}
demo_workers=$(within_limits "demo workers" "$demo_workers" $demo_base_mb $demo_mb)
bc_workers=$(within_limits "bc workers" "$bc_workers" $bc_base_mb $bc_mb)
bc_drivers=$(within_limits "bc drive workers" "$bc_drivers" $((bc_base_mb + bc_workers * bc_mb)) $bc_mb)
evaluators=$(within_limits "evaluation workers" "$cores" $bc_base_mb $bc_mb)
rl_envs=$(within_limits "rl envs" "$rl_envs" $rl_base_mb $rl_mb)
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
export VECLIB_MAXIMUM_THREADS=1 PYTHONUNBUFFERED=1

# A cluster's CPUs all work, whatever this machine holds.
demo_crew=(--workers "$demo_workers") bc_crew=(--drive-workers "$bc_drivers") rl_crew=(--envs "$rl_envs")
evaluation_crew=(--workers "$evaluators")
requirements=(requirements.txt)
if [[ -n $cluster ]]; then
    requirements+=(requirements-cluster.txt)
    demo_crew=(--cluster "$cluster") bc_crew=(--cluster "$cluster") rl_crew=(--cluster "$cluster")
    evaluation_crew=(--cluster "$cluster")
    if [[ -z $dry_run ]]; then
        bootstrap "${requirements[@]}"
    else
        choose_python "${requirements[@]}" || bad_input "--dry-run asks the cluster: install ${requirements[*]}"
    fi
    demo_workers=$("$PYTHON" -m racing_env.common.cluster "$cluster") || exit
    rl_envs=$demo_workers
fi

# ---- Stages ------------------------------------------------------------------------------------
train() {
    stage demonstrations collect_demonstrations.py ${demo_budget[@]+"${demo_budget[@]}"} \
        ${car[@]+"${car[@]}"} \
        "${demo_crew[@]}" --seed "$seed" --out "$out/demonstrations"
    await_prepared driving
    stage bc train_bc.py --data "$out/demonstrations" ${bc_budget[@]+"${bc_budget[@]}"} \
        "${bc_crew[@]}" --workers "$bc_workers" --seed "$seed" --out "$out/bc"
    await_prepared learning
    stage rl train_rl.py --policy "$out/bc/policy.safetensors" \
        ${rl_budget[@]+"${rl_budget[@]}"} "${rl_crew[@]}" --seed "$seed" --out "$out/rl"
    if [[ $conditions == nominal ]]; then return; fi
    stage road train_rl.py --policy "$out/rl/policy.safetensors" --conditions road \
        ${rl_budget[@]+"${rl_budget[@]}"} "${rl_crew[@]}" --seed "$seed" --out "$out/road"
}

echo "demo workers: $demo_workers"
echo "bc workers: $bc_workers"
echo "rl envs: $rl_envs"
if [[ -n $dry_run ]]; then
    choose_python "${requirements[@]}" || true
    train
    exit
fi

mkdir -p "$out/logs" 2>/dev/null || bad_input "--out $out cannot be made a folder"
if command -v flock >/dev/null; then
    exec 9<"$out"
    flock -n 9 || bad_input "another start is at work in $out"
fi
plan="$mode, $conditions, seed $seed${vehicle:+, vehicle $vehicle}"
if [[ $vehicle == */* ]]; then plan+=", checksum $(cksum <"$vehicle")"; fi
if [[ ! -e $out/plan.txt ]]; then echo "$plan" >"$out/plan.txt"; fi
[[ $(<"$out/plan.txt") == "$plan" ]] ||
    bad_input "$out was begun as '$(<"$out/plan.txt")', not '$plan'; give another --out"

bootstrap "${requirements[@]}"
begin_stages
"$PYTHON" -m racing_env.common.memory_sampler --pid $$ --out "$out/memory.json" 8>&- 9<&- &
sampler=$!
rm -f "$out/logs/preparing" # of a run that was killed with all that it had
if [[ -z $cluster && ! -e $out/logs/rl.finished ]] && ((memory_mb >= rl_base_mb + rl_envs * rl_mb + ahead_mb)); then
    prepare_beside -m racing_env.learning.ahead --vehicle "${vehicle:-racecar}" \
        --track $train_on $judge_on $circuits
fi
trap 'kill "$sampler" 2>/dev/null || true; end_preparing' EXIT
train
learnt=("$out/rl/policy.safetensors")
if [[ $conditions == road ]]; then learnt+=("$out/road/policy.safetensors"); fi
stage evaluation evaluate.py --driver expert "$out/bc/policy.safetensors" "${learnt[@]}" \
    --track $circuits "${evaluation_crew[@]}" --out "$out/evaluation"
if [[ $conditions == road ]]; then
    stage conditions evaluate.py --driver "${learnt[@]}" --conditions road --laps 1 \
        --track $circuits "${evaluation_crew[@]}" --out "$out/conditions"
fi
"$PYTHON" -m racing_env.laps.run_table "$out"
"$PYTHON" -m racing_env.laps.report "$out"
