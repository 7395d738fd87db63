#!/usr/bin/env bash
# The container, built and run as the head of deploy/Containerfile says, between a fake Slack and the sample feeds, both on
# loopback. By hand, as root, where there is podman, after ./run.sh setup. What it is given goes to `podman build`:
#   tests/container.sh --pull=never -v /etc/pip.conf:/etc/pip.conf:ro
# shellcheck disable=SC2317 # functions are called by `must`
set -euo pipefail
cd "$(dirname "$0")/.."
name=news-monitor-test work=$(mktemp -d)
clean() {
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    podman rm -f "$name"
    podman volume rm -f "$name"
    podman secret rm "$name"
    rm -rf "$work"
} >/dev/null 2>&1
trap clean EXIT
failed=0
# name, then a command that must hold
must() { local what=$1; shift; if "$@"; then echo "ok      $what"; else echo "FAILED  $what: $*"; failed=1; fi; }
within() { local seconds=$1; shift; for _ in $(seq "$seconds"); do "$@" && return; sleep 1; done; return 1; }
in_it() { podman exec "$name" monitor --config /etc/news-monitor/monitor.toml "$@"; }
is_ready() { curl -s http://127.0.0.1:9479/readyz >"$work/readyz" && ! grep -q failed "$work/readyz" && grep -q "ok delivery" "$work/readyz"; }
told() { [ "$(cat "$work/told" 2>/dev/null || echo 0)" -ge "$1" ]; }

podman build -t "$name" -f deploy/Containerfile "$@" . >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; exit 1; }
echo "built: $(podman image inspect -f '{{.Size}}' "$name" | numfmt --to=si)B"

PYTHONPATH=tests:. .venv/bin/python - "$work" <<'PYTHON' &
import contextlib, pathlib, sys
from slack_server import FakeSlack
work = pathlib.Path(sys.argv[1])
with FakeSlack(channels={"C0NEWS"}) as slack:
    (work / "token").write_text(slack.token)
    (work / "slack").write_text(slack.url)
    told = 0
    while True:
        with contextlib.suppress(TimeoutError):
            slack.until(lambda: len(slack.messages) > told)
        told = len(slack.messages)
        (work / "told.new").write_text(str(told))
        (work / "told.new").replace(work / "told")
PYTHON
(cd "$work" && exec "$OLDPWD/.venv/bin/monitor" demo --serve --port 0 >serve.log 2>&1) &
within 60 test -s "$work/slack"
within 60 grep -q "monitor --config" "$work/serve.log"
.venv/bin/monitor --config "$work/state/demo/monitor.toml" feeds export >"$work/feeds.opml"
cat >"$work/monitor.toml" <<TOML
[polling]
host_gap = "0s"
allow_private = ["127.0.0.1"]
[alerts]
channel = "C0NEWS"
max_age = "3650d"
backfill = "3650d"
[slack]
base_url = "$(cat "$work/slack")"
pace = "0s"
[probes]
listen = "127.0.0.1:9479"
TOML
chmod -R a+rX "$work"
podman secret create "$name" "$work/token" >/dev/null
as_said=(
    --network host --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges -v "$name:/data"
    -v "$work/monitor.toml:/etc/news-monitor/monitor.toml:ro" -v "$work/feeds.opml:/feeds.opml:ro"
    --secret "$name,target=/run/secrets/slack-bot-token,uid=10001,mode=0400"
)
must "says its version" podman run --rm "${as_said[@]}" "$name" --version
must "feeds are imported" podman run --rm "${as_said[@]}" "$name" feeds import /feeds.opml
must "starts" podman run -d --name "$name" "${as_said[@]}" "$name"
must "delivers" within 240 told 1
must "is ready" within 60 is_ready
must "doctor finds nothing critical" sh -c "podman exec $name monitor --config /etc/news-monitor/monitor.toml doctor; [ \$? -le 1 ]"
must "audit finds nothing" in_it audit
must "backs up" in_it backup /data/backup/
must "nothing outside the volume can be written" sh -c "! podman exec $name touch /opt/x 2>/dev/null"
began=$(date +%s)
must "stops" podman stop -t 30 "$name"
must "within ten seconds" [ $(($(date +%s) - began)) -le 10 ]
must "well" [ "$(podman inspect -f '{{.State.ExitCode}}' "$name")" = 0 ]
must "starts again" podman start "$name"
must "is ready again" within 240 is_ready
must "has told nothing twice" in_it audit
must "has the list of feeds" sh -c "podman exec $name monitor --config /etc/news-monitor/monitor.toml feeds import {shipped} | grep '^93'"
echo "$(cat "$work/told") messages"
[ "$failed" = 0 ] || podman logs "$name" 2>&1 | tail -n 40
exit "$failed"
