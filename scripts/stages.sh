# shellcheck shell=bash
# Sourced by train_optimized.sh: stages that are logged, stopped and gone on with.
# Uses $out, $dry_run and $PYTHON.
# shellcheck disable=SC2154

stage_pid=""
stop_code=""

# stage NAME SCRIPT FLAG...: run it, on the screen and in its log. What is finished already is
# skipped; what was begun goes on with --resume; a failure ends the whole run.
stage() {
    local name=$1 log=$out/logs/$1.log finished=$out/logs/$1.finished status=0
    shift
    if [[ -e $log && $1 != evaluate.py ]]; then set -- "$@" --resume; fi
    if [[ -n $dry_run ]]; then
        printf '%q' "$PYTHON" && printf ' %q' "$@" && echo
        return
    fi
    if [[ -e $finished ]]; then
        echo "== $name: finished before"
        return
    fi
    echo "== $name"
    { "$PYTHON" "$@" 2>&1 | tee -ia "$log"; } </dev/null 8>&- &
    stage_pid=$!
    echo "$stage_pid" >"$out/logs/running"
    # A signal ends a wait, not the stage.
    while :; do
        status=0
        wait "$stage_pid" 2>/dev/null || status=$?
        kill -0 "$stage_pid" 2>/dev/null || break
    done
    stage_pid=""
    rm -f "$out/logs/running"
    if [[ -n $stop_code ]]; then
        echo "interrupted in stage $name; the same command, with --out $out, goes on" >&2
        exit "$stop_code"
    elif ((status)); then
        echo "error: stage $name failed with exit code $status; its log is $log;" \
            "the same command, with --out $out, goes on with it" >&2
        exit "$status"
    fi
    touch "$finished"
}

# interrupt_stage CODE: interrupt the running stage and all its processes, which save what they have; the
# run exits with CODE when they have ended.
interrupt_stage() {
    stop_code=$1
    if [[ -z $stage_pid ]]; then exit "$stop_code"; fi
    kill -INT -- "-$stage_pid" 2>/dev/null || true
}

# begin_stages: each stage gets a process group of its own, which a signal can be passed on to.
begin_stages() {
    set -m
    trap 'interrupt_stage 130' INT
    trap 'interrupt_stage 143' TERM HUP
    exec 8> >(interrupt_stage_after_death)
}

# prepare_beside ARGUMENT...: run what prepares later stages in the background, in a process group of
# its own; the end of this run ends it, whatever that is. It is killed, as the compiler takes no other
# signal; its files are whole or not there.
prepare_beside() {
    nice "$PYTHON" "$@" >"$out/logs/ahead.log" 2>&1 </dev/null 8>&- 9<&- &
    echo "$!" >"$out/logs/preparing"
    disown "$!"
}

# await_prepared LINE: wait until what prepares has said so, or has ended. Who went on would compile the
# same once more beside it.
await_prepared() {
    [[ -e $out/logs/preparing ]] || return 0
    until grep -qx "$1" "$out/logs/ahead.log" || ! kill -0 "$(<"$out/logs/preparing")" 2>/dev/null; do
        sleep 0.2
    done
}

end_preparing() {
    if [[ -e $out/logs/preparing ]]; then
        kill -KILL -- "-$(<"$out/logs/preparing")" 2>/dev/null || true
        rm -f "$out/logs/preparing"
    fi
}

# interrupt_stage_after_death: interrupt the running stage when standard input, which only this run
# holds open, closes: a run that is killed can pass no signal on itself.
interrupt_stage_after_death() {
    trap '' INT TERM HUP
    local group
    read -r || true
    end_preparing
    if [[ -e $out/logs/running ]]; then
        group=$(<"$out/logs/running")
        rm -f "$out/logs/running"
        kill -INT -- "-$group" 2>/dev/null || true
    fi
}
