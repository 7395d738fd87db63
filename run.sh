#!/usr/bin/env bash
# The development workflow, as a program: ./run.sh with no argument lists what it does.
set -euo pipefail
cd "$(dirname "$0")"

TORCH=2.13.0
TORCH_INDEX=https://download.pytorch.org/whl/cpu # deploy/install.sh and the Containerfile read these two here
export PIP_DISABLE_PIP_VERSION_CHECK=1

usage() {
    cat <<'EOF'
./run.sh setup    make .venv and install everything into it (every other command does this first, once)
./run.sh demo     run the monitor on its sample feeds and show what an analyst would get
./run.sh test     run the tests: the fast ones, the slow, then those that load the real models
./run.sh check    what the code must look like: ruff, mypy, the topic files
./run.sh bench    measure on ../shared/data with the scripts of ../shared/eval (half an hour)
./run.sh run      run the daemon with ./monitor.toml, if there is one
EOF
}

setup() {
    local stamp=.venv/installed
    cmp -s pyproject.toml "$stamp" && return
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "run.sh: Python 3.11 or newer is needed; name it in \$PYTHON" >&2; exit 1; }
    echo "run.sh: installing into .venv (a few minutes the first time) ..." >&2
    "${PYTHON:-python3}" -m venv .venv
    install_torch
    .venv/bin/pip install --quiet --editable '.[dev]'
    cp pyproject.toml "$stamp"
}

# The registry's Linux build of torch brings gigabytes of CUDA: where there is no GPU, only the CPU build will do.
install_torch() {
    if [ "$(uname -s)" != Linux ] || nvidia-smi -L >/dev/null 2>&1; then
        .venv/bin/pip install --quiet "torch==$TORCH"
    elif ! .venv/bin/pip install --quiet "torch==$TORCH+cpu" 2>/dev/null; then
        .venv/bin/pip install --quiet "torch==$TORCH+cpu" --extra-index-url "$TORCH_INDEX"
    fi
}

case "${1:-}" in
    setup) setup ;;
    demo) setup; shift; exec .venv/bin/monitor demo "$@" ;;
    test)
        setup; shift
        .venv/bin/pytest -q -n auto -m "not model and not slow" "$@"
        .venv/bin/pytest -q -n auto -m "slow and not model" "$@"
        # two at once, each file in one: every worker loads the models
        .venv/bin/pytest -q -n 2 --dist loadfile -m model "$@"
        ;;
    check)
        setup
        .venv/bin/ruff format --check .
        .venv/bin/ruff check .
        .venv/bin/mypy
        .venv/bin/monitor rules check --fast --strict
        ;;
    bench) setup; shift; exec .venv/bin/python bench/start_line.py "$@" ;;
    run) setup; shift; exec .venv/bin/monitor run "$@" ;;
    "" | help | -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
esac
