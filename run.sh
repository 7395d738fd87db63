#!/usr/bin/env bash
# The development workflow, as a program: ./run.sh with no argument lists what it does.
set -euo pipefail
cd "$(dirname "$0")"

export PIP_DISABLE_PIP_VERSION_CHECK=1

usage() {
    cat <<'EOF'
./run.sh setup    make .venv and install everything into it (every other command does this first, once)
./run.sh demo     run the monitor on its sample feeds and show what an analyst would get
./run.sh test     run the tests: the fast ones, the slow, then those that load the real models
./run.sh check    what the code must look like: ruff, mypy, the topic files
./run.sh bench    measure on ../shared/data with the scripts of ../shared/eval (half an hour)
./run.sh run      run the daemon with ./monitor.toml, if there is one
./run.sh lock     make deploy/requirements.lock anew from pyproject.toml; with --upgrade, take the newest versions
./run.sh sbom     write what the lock names to dist/sbom.json, as CycloneDX
./run.sh audit    ask for known vulnerabilities of it: exit code 1 if there are any, 69 if nobody could be asked
EOF
}

setup() {
    local stamp=.venv/installed
    cat pyproject.toml deploy/requirements.lock | cmp -s - "$stamp" && return
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "run.sh: Python 3.11 or newer is needed; name it in \$PYTHON" >&2; exit 1; }
    echo "run.sh: installing into .venv (a few minutes the first time) ..." >&2
    "${PYTHON:-python3}" -m venv .venv
    deploy/packages.sh .venv/bin/pip || {
        [ $? = 3 ] || exit 1
        echo "run.sh: NOT BY THE LOCK: what pyproject.toml allows is installed instead, whatever its hashes" >&2
    }
    .venv/bin/pip install --quiet --editable '.[dev]'
    cat pyproject.toml deploy/requirements.lock >"$stamp"
}

# What looks after the lock, apart from what the monitor runs with.
tools() {
    [ -e build/tools/installed ] && return
    "${PYTHON:-python3}" -m venv build/tools
    build/tools/bin/pip install --quiet 'uv>=0.9,<1'
    build/tools/bin/uv pip install --quiet --python build/tools 'cyclonedx-bom>=7.3,<8' 'pip-audit>=2.10,<3'
    touch build/tools/installed
}

# Where the lock stands already, uv keeps its versions as far as they go.
lock() {
    build/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --extra onnx --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --constraints <(sed -n 's/^TORCH=/torch==/p' deploy/packages.sh) \
        --output-file deploy/requirements.lock "$@" pyproject.toml >/dev/null
    sed -i '1i\
# What the monitor needs, and news-monitor[onnx], on Python 3.11 and later; made by ./run.sh lock.\
# Install torch first, as packages.sh does: its CPU build then counts as the torch that is pinned here, whose hashes are those of\
# the registry'"'"'s build. Without it pip stops, because of the CUDA packages that this build asks for and nobody pinned.\
#   pip install --require-hashes -r deploy/requirements.lock' deploy/requirements.lock
}

# pip-audit passes over what its service does not answer for: that is no "none found".
audit() {
    build/tools/bin/pip-audit --require-hashes --disable-pip --progress-spinner off --format json \
        --requirement deploy/requirements.lock 2>build/audit.log >build/audit.json || true
    "${PYTHON:-python3}" - <<'EOF'
import json, pathlib, sys
try:
    asked = json.loads(pathlib.Path("build/audit.json").read_bytes())["dependencies"]
except ValueError:
    sys.stderr.write(pathlib.Path("build/audit.log").read_text()[-2000:])
    asked = []
found = [f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
         for one in asked for flaw in one.get("vulns", ())]
silent = sum("skip_reason" in one for one in asked)
print(*found, f"audit: {len(asked) - silent} packages audited, {silent} not, {len(found)} vulnerabilities", sep="\n")
if found:
    sys.exit(1)
if silent or not asked:
    print("audit: NOT AUDITED: the service of advisories did not answer for all of them")
    sys.exit(69)
EOF
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
    lock) tools; shift; lock "$@" ;;
    sbom)
        tools
        mkdir -p dist
        build/tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --no-validate \
            --output-file dist/sbom.json deploy/requirements.lock
        ;;
    audit) tools; audit ;;
    "" | help | -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
esac
