# Functions of .ci/run; sourced, not run.

stage_names=()
stage_results=()
stage_times=()
failures=0

# stage NAME FUNCTION [ARGUMENT...]: runs it in a shell of its own that stops at the first command that fails.
stage() {
    local name=$1 began=$SECONDS status
    shift
    printf '\n===== %s\n' "$name"
    # Not `if ( ... )`: a shell inside a condition would not stop at the first failure.
    set +e
    (
        set -euo pipefail
        "$@"
    )
    status=$?
    set -e
    stage_names+=("$name")
    stage_times+=($((SECONDS - began)))
    if [[ $status -eq 0 ]]; then
        stage_results+=(passed)
    else
        stage_results+=("FAILED ($status)")
        failures=$((failures + 1))
    fi
    printf -- '----- %s: %s after %s s\n' "$name" "${stage_results[-1]}" "${stage_times[-1]}"
}

closing_table() {
    local i
    printf '\n%-44s %8s  %s\n' stage seconds result
    for i in "${!stage_names[@]}"; do
        printf '%-44s %8s  %s\n' "${stage_names[i]}" "${stage_times[i]}" "${stage_results[i]}"
    done
    printf '%-44s %8s  %s\n' whole "$SECONDS" "$([[ $failures -eq 0 ]] && echo passed || echo "FAILED: $failures")"
}

# Whether the command $1 is a Python $2 (such as 3.13) that runs and can make a virtual environment.
is_python() {
    "$1" -c "import sys, ssl, venv; sys.exit(sys.version_info[:2] != tuple(map(int, '$2'.split('.'))))" \
        >/dev/null 2>&1
}

# Prints the first Python $1 of: LOOPWRIGHT_PYTHONS (paths, with colons or spaces between), PATH, pyenv, and the
# folder that ../shared/pythons/get fills.
look_for_python() {
    local candidate
    for candidate in ${LOOPWRIGHT_PYTHONS//:/ } "python$1" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python3 "$HOME/.cache/pythons/bin/python$1"; do
        if is_python "$candidate" "$1"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Prints the path of a Python $1; fails, and says where it looked, if there is none.
find_python() {
    look_for_python "$1" && return 0
    if [[ -x ../shared/pythons/get ]]; then
        echo "no Python $1 yet: running ../shared/pythons/get" >&2
        ../shared/pythons/get >&2 </dev/null || echo "../shared/pythons/get failed" >&2
        look_for_python "$1" && return 0
    fi
    echo "Python $1 is required and was not found: not in LOOPWRIGHT_PYTHONS (${LOOPWRIGHT_PYTHONS:-unset})," \
        "on PATH, under ${PYENV_ROOT:-$HOME/.pyenv}/versions or in ~/.cache/pythons/bin" >&2
    return 1
}

# empty_environment PYTHON FOLDER: a virtual environment without even pip, which some builds of Python lack.
empty_environment() {
    "$1" -m venv --without-pip "$2"
}

# install FOLDER ARGUMENT...: pip install into the environment there, by the pip of .venv.
install() {
    local folder=$1
    shift
    .venv/bin/python -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check "$@"
}

# left_processes: prints what still runs of all that this run started, known by the mark in its environment.
left_processes() {
    local folder pid
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        [[ $pid == "$$" || $pid == "$BASHPID" ]] && continue
        if { tr '\0' '\n' <"$folder/environ" | grep -qx "LOOPWRIGHT_CI_RUN=$LOOPWRIGHT_CI_RUN"; } 2>/dev/null; then
            printf '%s %s\n' "$pid" "$({ tr '\0' ' ' <"$folder/cmdline"; } 2>/dev/null)"
        fi
    done
}
