#!/bin/sh
# usage: unit.sh UNIT: the worker's unit names an absolute program, is notified and watched, does not restart what cannot
# succeed, and leaves little to attack (systemd's own score, where systemd-analyze is installed).
unit=$1 failed=0
need() { grep -qE "$1" "$unit" || { echo "$unit lacks $1"; failed=1; }; }
need '^ExecStart=/[^ ]*/imgq-worker --queue %i '
need '^Type=notify$'
need '^WatchdogSec='
need '^RestartPreventExitStatus=2 7$'
need '^LoadCredential=redis-password$'
need '^DynamicUser=yes$'
need '^ProtectSystem=strict$'
if grep -q '@' "$unit" && grep -E '@[A-Z_]+@' "$unit"; then
    echo "$unit has a placeholder left"
    failed=1
fi
if command -v systemd-analyze >/dev/null; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-unit-XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    cp "$unit" "$work/imgq-worker@default.service"
    systemd-analyze security --offline=yes --no-pager --threshold=15 "$work/imgq-worker@default.service" >"$work/score" 2>&1 ||
        { tail -n 3 "$work/score"; failed=1; }
    tail -n 1 "$work/score"
    systemd-analyze verify "$work/imgq-worker@default.service" 2>&1 | grep -E 'Unknown|Failed to parse|Invalid' &&
        failed=1
fi
exit $failed
