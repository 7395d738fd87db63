#!/usr/bin/env bash
# A real boot, and a second one: installs this working copy into a Debian root and has its systemd start, kill, starve and stop the
# service, then boot again and back it up. By hand, as root, where there is systemd-nspawn; it shares the host's network, for the
# packages and the sample feeds:
#   debootstrap --include=systemd-sysv,dbus,python3,python3-venv,git,curl bookworm ROOT
#   tests/boot.sh ROOT
set -euo pipefail
root=${1:?the folder of a Debian root}
here=$(cd "$(dirname "$0")/.." && pwd)

rm -rf "$root/root/news-monitor"
git clone -q "$here" "$root/root/news-monitor"
rm -f "$root"/root/{booted,boot.log,console.log} "$root"/etc/systemd/system/*.wants/news-monitor*
cat >"$root/root/boot.sh" <<'INSIDE'
#!/usr/bin/env bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec >>/root/boot.log 2>&1
unit=news-monitor config=/etc/news-monitor/monitor.toml
shown() { systemctl show "$unit" -p "$1" --value; }
probe() { curl -s --unix-socket /run/news-monitor/probes "http://monitor/$1"; }
# name, then a command that must hold
must() { local name=$1; shift; if "$@"; then echo "ok      $name"; else echo "FAILED  $name: $*"; fi; }
within() { local seconds=$1; shift; for _ in $(seq "$seconds"); do "$@" && return; sleep 1; done; return 1; }
is_ready() { ! probe readyz | grep -q failed && probe readyz | grep -q "ok delivery"; }
has_sent() { probe metrics | grep -Eq '^news_monitor_outbox\{state="sent"\} [1-9]'; }
restarted() { [ "$(shown NRestarts)" -ge "$1" ] && [ "$(shown ActiveState)" = active ]; }

# the timer's service, and where its copies lie
backs_up() {
    must "$1 backs up" systemctl start "$1"
    must "$1 leaves one whole copy" python3 - "$2" <<'PYTHON'
import pathlib, sqlite3, sys
[copy] = pathlib.Path(sys.argv[1]).glob("*.sqlite3")
assert copy.stat().st_mode & 0o077 == 0
connection = sqlite3.connect(copy)
assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
assert connection.execute("SELECT count(*) FROM feeds").fetchone() > (0,)
PYTHON
}

cd /root/news-monitor
if [ -e /root/booted ]; then
    must "runs after a boot" within 240 systemctl is-active --quiet "$unit"
    must "the timer is set after a boot" [ "$(systemctl show "$unit-backup.timer" -p ActiveState --value)" = active ]
    systemctl list-timers --no-pager "$unit-backup*"
    backs_up "$unit-backup" /var/lib/news-monitor/backup
    must "runs on beside the backup" systemctl is-active --quiet "$unit"
    must "knows of it" sh -c "monitor --config $config doctor | grep -q 'well.*backup'"
    must "an instance's timer is set" systemctl enable --now "$unit-backup@energy.timer"
    backs_up "$unit-backup@energy" /var/lib/news-monitor-energy/backup
    echo "done"
    systemctl poweroff
    exit
fi
rm -rf /etc/news-monitor
export SLACK_BOT_TOKEN=xoxb-none
must "with a token install.sh wants a channel" sh -c '! deploy/install.sh --no-start'
rm -rf /etc/news-monitor
SLACK_CHANNEL=C0123456789 must "and writes it down" deploy/install.sh --no-start
must "where it belongs" [ "$(sed -n '/^\[alerts]/,/^channel/p' "$config" | tail -n 1)" = 'channel = "C0123456789"' ]
unset SLACK_BOT_TOKEN
rm -rf /etc/news-monitor
must "install.sh installs" deploy/install.sh --no-start </dev/null
cat >"$config" <<'TOML'
[polling]
allow_private = ["127.0.0.1"]
[alerts]
max_age = "3650d"
backfill = "3650d"
[probes]
listen = "unix:/run/news-monitor/probes"
TOML
rm -rf /var/lib/private/news-monitor* /etc/systemd/system/news-monitor.service.d
must "install.sh is the upgrade too" deploy/install.sh --no-start </dev/null
(cd /tmp && monitor demo --serve >/tmp/serve.log 2>&1 &)
within 60 test -e /tmp/state/demo/monitor.toml
must "starts" systemctl start "$unit"
(cd /tmp && monitor --config state/demo/monitor.toml feeds export) >/tmp/feeds.opml
must "feeds are imported beside it" monitor --config "$config" feeds import /tmp/feeds.opml
must "sends" within 240 has_sent
must "is ready" within 60 is_ready
must "exposure is at most 1.5" sh -c "systemd-analyze security --threshold=15 --no-pager $unit >/dev/null"
kill -KILL "$(shown MainPID)"
must "comes back after SIGKILL" within 240 restarted 1
printf 'titel = "x"\n' >/etc/news-monitor/rules/broken.toml
systemctl reload "$unit"
must "a broken topic is in the status line" within 90 sh -c "systemctl show $unit -p StatusText | grep -q wrong"
rm /etc/news-monitor/rules/broken.toml
mkdir -p /etc/systemd/system/news-monitor.service.d
printf '[Service]\nWatchdogSec=20\n' >/etc/systemd/system/news-monitor.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart "$unit"
kill -STOP "$(shown MainPID)"
must "comes back after its watchdog starved" within 300 restarted 1
began=$(date +%s)
must "stops" systemctl stop "$unit"
must "within ten seconds" [ $(($(date +%s) - began)) -le 10 ]
must "well" [ "$(shown Result)" = success ]
systemctl start --no-block "$unit"
sleep 3
began=$(date +%s)
systemctl stop "$unit"
must "stops within ten seconds while it starts" [ $(($(date +%s) - began)) -le 10 ]
cp "$config" /etc/news-monitor/energy.toml
sed -i 's#/run/news-monitor/#/run/news-monitor-energy/#; s#^\[alerts\]#&\nchannel = "C0123456789"#' /etc/news-monitor/energy.toml
printf '[slack]\nbase_url = "http://127.0.0.1:9/"\n' >>/etc/news-monitor/energy.toml
printf 'xoxb-none' >/etc/news-monitor/energy.slack-bot-token
# its state is new: reading all topics for the first time takes longer than that, and systemd is told that it gets on
mkdir -p /etc/systemd/system/news-monitor@energy.service.d
printf '[Service]\nTimeoutStartSec=12\n' >/etc/systemd/system/news-monitor@energy.service.d/short.conf
systemctl daemon-reload
must "an instance starts in its own time, also while Slack cannot be reached" systemctl start news-monitor@energy
must "with a state of its own" test -e /var/lib/news-monitor-energy/monitor.sqlite3
must "and feeds of its own" monitor --config /etc/news-monitor/energy.toml feeds import /tmp/feeds.opml
systemctl stop news-monitor@energy
must "install.sh starts it" deploy/install.sh </dev/null
touch /root/booted
systemctl poweroff
INSIDE
chmod +x "$root/root/boot.sh"
cat >"$root/etc/systemd/system/boot.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=3600
ExecStart=/root/boot.sh
UNIT
mkdir -p "$root/etc/systemd/system/graphical.target.wants"
ln -sf ../boot.service "$root/etc/systemd/system/graphical.target.wants/boot.service"
for _ in first second; do
    systemd-nspawn -D "$root" --boot --register=no --keep-unit --resolv-conf=replace-host >>"$root/root/console.log" 2>&1 </dev/null
done
cat "$root/root/boot.log"
grep -q '^done$' "$root/root/boot.log" && ! grep -q '^FAILED' "$root/root/boot.log"
