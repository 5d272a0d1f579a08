#!/bin/sh
# engine-tables on pieces made up here: medians and ratios are of all pieces of a point, what is missing is said to be
# open, and every table has its place in the documents.
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-tables-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state" "$work/docs/pictures"
cp "$IMGQ_SOURCE/docs/performance.md" "$work/docs/" && cp "$IMGQ_SOURCE/README.md" "$work/" || exit 1
failed=0
piece() { # NUMBER ROUNDS IMGQ… / ORT…: images/s of each round
    python3 - "$work/state/speed-00$1.json" "$@" <<'PY'
import json, sys
path, _, rounds, *values = sys.argv[1:]
cut = values.index("/")
of = lambda list: [{"images_per_s": float(v), "best_images_per_s": float(v) + 1} for v in list]
json.dump({"layout": "v1", "batch": 8, "threads": 1, "rounds": int(rounds), "missing": {"pytorch": "it is not there"},
           "samples": {"imgq native highest": of(values[:cut]), "ort": of(values[cut + 1:])}, "others_share": 0.01,
           "machine": {"cpu": "a CPU", "cores": 2, "features": ["avx2"], "kernel": "6"}}, open(path, "w"))
PY
}
tables() {
    python3 "$IMGQ_SOURCE/tests/bench/engine-tables" "$@" --peers "$work" --state "$work/state" --document "$work/docs/performance.md" \
        --readme "$work/README.md" >"$work/out" 2>"$work/err" || { echo "engine-tables $*: $(cat "$work/err")"; failed=1; }
}
has() { grep -qF -- "$2" "$work/$1" || { echo "$1 lacks: $2"; failed=1; }; }

piece 1 2 20 30 / 10 10
piece 2 3 24 24 25 / 10 12 16
tables write
has docs/performance.md "| imgq native highest | open | open | 31.00 (24.00) | open | open | open |"
has docs/performance.md "| native highest / ort | open | open | 1.82 (2.40) | open | open | open |"
has docs/performance.md "| native highest over ort, v1 | 1.30 / open | 1.28 / open | 1.38 / 2.40 | 1.33 / open | 1.42 / open | 1.35 / open |"
has docs/performance.md "Rounds: 5. Without pytorch: it is not there."
has README.md "| imgq over ONNX Runtime | **open** | **open** | **2.40** | **open** | **open** | **open** |"
has out "pieces are open"
tables write # once more: what stands between the marks is replaced, not added
[ "$(grep -c '^| native highest / ort' "$work/docs/performance.md")" -eq 1 ] || { echo "written twice"; failed=1; }
tables list
has out "open: speed v1 8 1"
piece 3 4 20 20 20 20 / 20 20 20 20
tables list
grep -q "open: speed v1 8 1" "$work/out" && { echo "nine rounds are not enough"; failed=1; }
exit $failed
