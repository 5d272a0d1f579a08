#!/bin/sh
# The public headers, the symbol maps and what the shared libraries export are the same list; every other global of the
# static archives begins with imgq_ or iq_. $1: the folder of the libraries.
set -u
lib=$1
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-symbols-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
complain() { echo "$1"; failed=1; }

# names declared with IMGQ_API
cat include/imgq/*.h | tr '\n' ' ' | grep -oE 'IMGQ_API[^;{]*\(' | grep -oE 'imgq_[a-z0-9_]+ ?\(' | tr -d ' (' |
    sort -u >"$work/headers"
grep -ohE '^ +imgq_[a-z0-9_]+;' lib/*.map | tr -d ' ;' | sort >"$work/maps"
nm -D --defined-only "$lib"/libimgq.so "$lib"/libimgq-client.so | grep -oE ' [TDBR] imgq_[a-z0-9_]+@@[A-Z_0-9.]+' |
    sed 's/.* //; s/@.*//' | sort >"$work/exports"
[ -s "$work/headers" ] || complain "no IMGQ_API found in the headers"
diff "$work/headers" "$work/maps" >"$work/diff" || complain "headers (<) and maps (>) differ: $(cat "$work/diff")"
diff "$work/maps" "$work/exports" >"$work/diff" || complain "maps (<) and exports (>) differ: $(cat "$work/diff")"

# nothing else leaves, but what libimgq-client keeps for libimgq under its private node
leaks=$(nm -D --defined-only "$lib"/libimgq.so "$lib"/libimgq-client.so | grep -E ' [A-Z] ' |
    grep -vE ' imgq_[a-z0-9_]+@@IMGQ_[0-9]| iq_[a-z0-9_]+@@IMGQ_PRIVATE| A IMGQ_')
[ -z "$leaks" ] || complain "exported beside the maps: $leaks"

globals=$(nm --defined-only -g "$lib"/libimgq.a "$lib"/libimgq-client.a | grep -oE ' [TDBRC] .*' | grep -vE ' [TDBRC] i(mg)?q_')
[ -z "$globals" ] || complain "globals of the archives without our prefix: $globals"
exit $failed
