#!/bin/sh
# imgq-model demo: the network that it makes is right on 85 % of fresh drawings at least, and says what it is.
set -u
model=$IMGQ_BIN/imgq-model
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-demo-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
seed=${IMGQ_DEMO_SEED:-7}
echo "seed $seed (IMGQ_DEMO_SEED)"

fail() { echo "FAILED: $*" >&2; exit 1; }

"$model" demo --output "$work/demo" --seed "$seed" --draw 300 --quiet >"$work/out" 2>"$work/err" ||
  fail "exit code $?: $(cat "$work/err")"
cat "$work/out"
[ ! -s "$work/err" ] || fail "stderr: $(cat "$work/err")"
grep -q "^This is a demonstration: a network that nobody trained" "$work/out" || fail "it does not say what it is"
right=$(sed -n 's/^right     \([0-9]*\) of 300 .*/\1/p' "$work/out")
[ "${right:-0}" -ge 255 ] || fail "right on ${right:-none} of 300 fresh drawings, 255 are promised"
[ "$(ls "$work/demo/drawings" | wc -l)" -eq 300 ] || fail "not 300 drawings"
[ "$(ls "$work/demo" | tr '\n' ' ')" = "drawings model.safetensors " ] || fail "left in the folder: $(ls "$work/demo")"

# What the program counted is what a reader of its files counts: PNG, folder as --model, labels.
"$model" run --model "$work/demo" --quiet -k 1 --format tsv --recursive "$work/demo/drawings" >"$work/tsv" || fail "run: exit code $?"
again=$(awk -F'\t' '{ name = $1; sub(".*/[0-9]*-", "", name); sub("[.]png$", "", name); if (name == $6) right++ } END { print right + 0 }' "$work/tsv")
[ "$again" -eq "$right" ] || fail "demo counted $right right answers, its files give $again"
"$model" info "$work/demo/model.safetensors" >"$work/info" || fail "info: exit code $?"
grep -q "^classes      12: red_stripes, ... yellow_dots" "$work/info" || fail "classes: $(cat "$work/info")"
grep -q "^note         a demonstration" "$work/info" || fail "note: $(cat "$work/info")"

"$model" demo --output "$work/demo" --quiet >"$work/out" 2>"$work/err"
[ $? -eq 1 ] || fail "a model that is there was not refused"
grep -q "it is there already; --force replaces it" "$work/err" || fail "refusal says: $(cat "$work/err")"
