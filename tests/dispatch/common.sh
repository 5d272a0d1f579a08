# Sourced: the castle through imgq-model and imgq-bench, and what must come out. Wants IMGQ_SOURCE and IMGQ_BIN.
shared=${IMGQ_SHARED:-$IMGQ_SOURCE/../shared}
model=$shared/models/resnet50_keras.h5
castle=$shared/images/castle_image.jpg
[ -r "$model" ] && [ -r "$castle" ] || { echo "SKIPPED: no $model"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-dispatch-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
unset IMGQ_ISA
complain() { echo "FAILED: $*"; failed=1; }

cat >"$work/castle" <<'LINES'
1. church: 0.4136
2. castle: 0.3930
3. monastery: 0.1733
4. palace: 0.0041
5. vault: 0.0034
LINES

# castle_lines NAME [RUNNER…] -- [OPTION…]: the five lines as people see them
castle_lines() {
    name=$1 runner=""
    shift
    while [ "$1" != -- ]; do runner="$runner $1"; shift; done
    shift
    $runner "$IMGQ_BIN/imgq-model" run --quiet --model "$model" "$@" "$castle" >"$work/lines" 2>"$work/err" ||
        complain "$name: exit $?: $(cat "$work/err")"
    grep . "$work/lines" | cmp -s - "$work/castle" || complain "$name: $(cat "$work/lines")"
}

# castle_digits FILE [RUNNER…] -- [OPTION…]: all 1000 probabilities with nine digits, which tell every float; and what
# computed them
castle_digits() {
    file=$1 runner=""
    shift
    while [ "$1" != -- ]; do runner="$runner $1"; shift; done
    shift
    $runner "$IMGQ_BIN/imgq-model" run --quiet --format json --top 1000 --model "$model" "$@" "$castle" >"$work/json" \
        2>"$work/err" || complain "$file: exit $?: $(cat "$work/err")"
    grep -o '"class":[0-9]*,"label":"[^"]*","probability":[^}]*' "$work/json" >"$work/$file"
    [ "$(wc -l <"$work/$file")" -eq 1000 ] || complain "$file: $(wc -l <"$work/$file") classes"
}

# same FILE FILE WHAT
same() { cmp -s "$work/$1" "$work/$2" || complain "$3: $(diff "$work/$1" "$work/$2" | head -n 6)"; }

# chosen NAME ENGINE ISA [RUNNER…] -- [OPTION…]: what a session says that it runs on
chosen() {
    name=$1 want="\"engine\":\"$2\",\"isa\":\"$3\"" runner=""
    shift 3
    while [ "$1" != -- ]; do runner="$runner $1"; shift; done
    shift
    $runner "$IMGQ_BIN/imgq-bench" --model "$model" --batch 1 --step --format json "$@" >"$work/json" \
        2>"$work/err" </dev/null || complain "$name: exit $?: $(cat "$work/err")"
    grep -qF "$want" "$work/json" || complain "$name: not $want: $(head -c 600 "$work/json")"
    echo "$name: $want"
}
