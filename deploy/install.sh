#!/usr/bin/env bash
# Installs the monitor as a service on a Debian host, or upgrades it: the program into /opt/news-monitor/.venv, its unit, and,
# where there are none yet, a configuration, topics and the place of the token. Nothing that you wrote is overwritten. Run it again
# after `git pull`: it is the upgrade too.
set -euo pipefail

usage() {
    cat <<'EOF'
deploy/install.sh [--wheel FILE] [--no-start]

  --wheel FILE   install this wheel, and not the working copy that this script lies in
  --no-start     install, and leave the service as it is

The bot token is read from $SLACK_BOT_TOKEN, or from the first line of standard input if that is no terminal; without one, alerts
go to the journal until you put it into /etc/news-monitor/slack-bot-token and run this again. A new configuration is given the
channel $SLACK_CHANNEL (C0123456789).
EOF
}

here=$(cd "$(dirname "$0")/.." && pwd)
source=$here start=yes
while [ $# -gt 0 ]; do
    case $1 in
        --wheel) source=$(realpath "${2:?--wheel needs a file}"); shift ;;
        --no-start) start=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

say() { echo "install.sh: $*" >&2; }
[ "$(id -u)" = 0 ] || { say "must be root"; exit 1; }
command -v systemctl >/dev/null || { say "systemd is not here; see Containerfile for the other way"; exit 1; }

opt=/opt/news-monitor etc=/etc/news-monitor unit=/etc/systemd/system/news-monitor.service

python=python3
if ! $python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Python 3.11 with venv is missing: apt-get install python3-venv"
    apt-get install -y -q python3 python3-venv
fi

say "the program, into $opt/.venv (some minutes the first time)"
install -d -m 755 "$opt" "$opt/deploy" "$opt/docs"
[ -x "$opt/.venv/bin/python" ] || $python -m venv "$opt/.venv"
pip="$opt/.venv/bin/pip"
"$here/deploy/packages.sh" "$pip"
# the version may be the same, and the files others
"$pip" install --quiet --force-reinstall --no-deps "$source"
"$pip" check >/dev/null || { say "the wheel asks for other packages than this copy's lock:"; "$pip" check; exit 1; }
install -m 644 "$here"/deploy/* "$opt/deploy/"
install -m 644 "$here"/docs/* "$opt/docs/"

say "the configuration, in $etc"
install -d -m 755 "$etc"
if [ ! -e "$etc/monitor.toml" ]; then
    install -m 644 "$here/deploy/monitor.toml" "$etc/"
    [ -z "${SLACK_CHANNEL:-}" ] ||
        sed -i "/^#\[alerts]/,/^#channel/ { s/^#\[alerts]/[alerts]/; s/^#channel.*/channel = \"$SLACK_CHANNEL\"/ }" "$etc/monitor.toml"
fi
if [ ! -e "$etc/rules" ]; then
    cp -r "$here/rules" "$etc/rules"
    chmod -R a+rX "$etc/rules"
fi
token=${SLACK_BOT_TOKEN:-}
[ -n "$token" ] || [ -t 0 ] || read -r -t 1 token || true
if [ -n "$token" ]; then
    install -m 600 /dev/null "$etc/slack-bot-token"
    printf %s "$token" >"$etc/slack-bot-token"
fi

say "the units"
for file in monitor.service monitor@.service monitor-backup.service monitor-backup@.service monitor-backup.timer monitor-backup@.timer; do
    install -m 644 "$here/deploy/$file" "/etc/systemd/system/news-$file"
done
if [ ! -e "$etc/slack-bot-token" ]; then
    say "no bot token yet: alerts go to the journal"
    sed -i '/^LoadCredential=/s/^/#/' "$unit"
fi
systemctl daemon-reload
ln -sf "$opt/.venv/bin/monitor" /usr/local/bin/monitor

say "is all well?"
[ ! -e "$etc/slack-bot-token" ] || export CREDENTIALS_DIRECTORY=$etc
monitor --config "$etc/monitor.toml" check || {
    say "mend that, and run this again: the service is as it was"
    exit 1
}
if [ "$start" = yes ]; then
    systemctl enable --quiet news-monitor
    systemctl restart news-monitor
    systemctl enable --quiet --now news-monitor-backup.timer
    say "the service runs: journalctl -u news-monitor -f"
fi
say "feeds: monitor --config $etc/monitor.toml feeds import {shipped}"
