# shellcheck shell=bash
# Sourced: what this machine, or the container it lends us, can hold. The functions that read /proc
# and /sys take the folder that both lie in, empty for the real ones.

# core_count [ROOT]: cores for this process: CPU affinity, then the control groups' CPU quotas. A part
# of a core counts as one, as in the Python scripts.
core_count() {
    local root=${1:-} cores quota period folder
    # nproc would answer with these two instead of counting.
    cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
    while read -r folder; do
        quota=max
        if [[ -r $folder/cpu.max ]]; then
            read -r quota period <"$folder/cpu.max"
        elif [[ -r $folder/cpu.cfs_quota_us ]]; then
            read -r quota <"$folder/cpu.cfs_quota_us"
            read -r period <"$folder/cpu.cfs_period_us"
        fi
        if [[ $quota =~ ^[0-9]+$ ]]; then cores=$(at_most "$cores" $(((quota + period - 1) / period))); fi
    done < <(control_groups "$root" cpu)
    at_least 1 "$cores"
}

# available_memory_mb [ROOT]: what can still be taken: MemAvailable, and what control groups leave.
available_memory_mb() {
    local root=${1:-} free=999999999 limit used cache folder
    if [[ -r $root/proc/meminfo ]]; then
        free=$(($(number_after MemAvailable: "$root/proc/meminfo") * 1024 / 1000000))
    fi
    while read -r folder; do
        limit=max
        if [[ -r $folder/memory.max ]]; then
            read -r limit <"$folder/memory.max"
            read -r used <"$folder/memory.current"
            cache=$(number_after inactive_file "$folder/memory.stat")
        elif [[ -r $folder/memory.limit_in_bytes ]]; then
            read -r limit <"$folder/memory.limit_in_bytes"
            read -r used <"$folder/memory.usage_in_bytes"
            cache=$(number_after total_inactive_file "$folder/memory.stat")
        fi
        if [[ $limit =~ ^[0-9]+$ ]]; then
            free=$(at_most "$free" $(((limit - used + cache) / 1000000)))
        fi
    done < <(control_groups "$root" memory)
    at_least 0 "$free"
}

# control_groups ROOT CONTROLLER: folders of this process's group and of all groups above it.
control_groups() {
    local controllers path mount
    [[ -r $1/proc/self/cgroup ]] || return 0
    while IFS=: read -r _ controllers path; do
        case ",$controllers," in
        ,,) mount=$1/sys/fs/cgroup ;;
        *,"$2",*) mount=$1/sys/fs/cgroup/$2 ;;
        *) continue ;;
        esac
        while [[ -n $path ]]; do
            echo "$mount$path"
            path=${path%/*}
        done
        echo "$mount"
    done <"$1/proc/self/cgroup"
}

# raise_open_files NEEDED: set OPEN_FILES to the limit on open files, after raising the soft limit to
# NEEDED or as far as it may go.
raise_open_files() {
    local hard
    hard=$(ulimit -Hn)
    OPEN_FILES=$(ulimit -Sn)
    if [[ $OPEN_FILES != unlimited ]] && ((OPEN_FILES < $1)); then
        if [[ $hard == unlimited ]]; then hard=$1; fi
        ulimit -Sn "$(at_most "$1" "$hard")" 2>/dev/null || true
        OPEN_FILES=$(ulimit -Sn)
    fi
    if [[ $OPEN_FILES == unlimited ]]; then OPEN_FILES=999999999; fi
}

# lowered WHAT COUNT LIMIT WHY: COUNT, or LIMIT (at least 1) and a line that says so if that is less.
lowered() {
    local limit
    limit=$(at_least 1 "$3")
    if (($2 > limit)); then echo "$1 lowered from $2 to $limit: $4" >&2; fi
    at_most "$2" "$limit"
}

# count_setting NAME LEAST DEFAULT: the environment variable NAME if it is set, else DEFAULT.
count_setting() {
    local value=${!1:-$3}
    if ! [[ $value =~ ^(0|[1-9][0-9]{0,8})$ ]] || ((value < $2)); then
        echo "error: $1 is '$value'; it must be an integer of at least $2" >&2
        exit 2
    fi
    echo "$value"
}

# number_after KEY FILE: the second word of the line that begins with KEY, 0 if there is none.
number_after() {
    local key value
    while read -r key value _; do
        if [[ $key == "$1" ]]; then
            echo "$value"
            return
        fi
    done <"$2"
    echo 0
}

at_most() { echo $(($1 < $2 ? $1 : $2)); }
at_least() { echo $(($1 > $2 ? $1 : $2)); }
