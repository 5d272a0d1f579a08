#!/bin/sh
# imgq-model from the outside: what it prints, where, and what it ends with. Needs the shared weights.
set -u
shared=${IMGQ_SHARED:-$IMGQ_SOURCE/../shared}
weights=$shared/models/resnet50_keras.h5
[ -r "$weights" ] || { echo "SKIPPED: no shared folder with weights and oracles (set IMGQ_SHARED)" >&2; exit 77; }
model=$IMGQ_BIN/imgq-model
castle=$shared/images/castle_image.jpg
golden=$IMGQ_SOURCE/tests/golden
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-model-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
unset IMGQ_MODEL
failed=0

fail() { echo "FAILED: $*" >&2; failed=$((failed + 1)); }

# run CODE ARGUMENT…: runs the program, output in $work/out and $work/err
run() {
  want=$1
  shift
  "$model" "$@" >"$work/out" 2>"$work/err"
  code=$?
  [ "$code" -eq "$want" ] || { fail "imgq-model $*: exit code $code, expected $want"; cat "$work/err" >&2; }
}
# same FILE TEXT: the file holds exactly the text
same() { [ "$(cat "$work/$1")" = "$2" ] || { fail "$1 is not as expected:"; cat "$work/$1" >&2; echo "--- expected" >&2; echo "$2" >&2; }; }
has() { grep -qF -- "$2" "$work/$1" || { fail "$1 does not contain: $2"; cat "$work/$1" >&2; }; }
empty() { [ ! -s "$work/$1" ] || { fail "$1 is not empty:"; cat "$work/$1" >&2; }; }

reference='1. church: 0.4136
2. castle: 0.3930
3. monastery: 0.1733
4. palace: 0.0041
5. vault: 0.0034'

# --- run ---
run 0 run --model "$weights" "$castle"
same out "$reference"
empty err
IMGQ_MODEL=$weights run 0 run - <"$castle"
same out "$reference"
run 0 run -m "$weights" -k 1 "$golden/clock.jpg" "$golden/crossword.png"
same out "$golden/clock.jpg
1. analog_clock: 0.9631
$golden/crossword.png
1. crossword_puzzle: 1.0000"
run 1 run -m "$weights" -k 1 --format tsv "$castle" "$work/missing.jpg" "$shared/oracle/bad/empty.jpg"
grep -q "^$castle		ok	1	497	church	0.4136" "$work/out" || fail "tsv of the castle: $(cat "$work/out")"
grep -q "^$work/missing.jpg		failed	0" "$work/out" || fail "tsv of a missing file: $(cat "$work/out")"
[ "$(wc -l <"$work/out")" -eq 3 ] || fail "tsv has $(wc -l <"$work/out") lines"
[ "$(wc -l <"$work/err")" -eq 2 ] || { fail "two failures are not two lines:"; cat "$work/err" >&2; }
run 0 run -m "$weights" --format json "$castle"
has out '"status":"ok","predictions":[{"class":497,"label":"church","probability":0.4136'
has out '"model":"resnet50_keras","model_hash":"'
has out '"profile":"keras"'
[ "$(wc -l <"$work/out")" -eq 1 ] || fail "JSON of one file is not one line"
printf 'not an image' >"$work/text.jpg"
run 3 run -m "$weights" "$work/text.jpg"
empty out
# A batch of 4 and one of 32 answer alike, and in order, also around a file that fails.
run 1 run -m "$weights" -b 4 -k 1 --quiet "$golden/clock.jpg" "$work/text.jpg" "$golden"/*.png "$castle"
cp "$work/out" "$work/four"
run 1 run -m "$weights" -k 1 --quiet "$golden/clock.jpg" "$work/text.jpg" "$golden"/*.png "$castle"
cmp -s "$work/out" "$work/four" || fail "batches of 4 and of 32 answer differently"

# --- import, info, verify ---
run 0 import "$weights" --output "$work/imported.safetensors" --name castle-finder
has out "name         castle-finder"
has out "classes      1000: tench, ... toilet_tissue"
empty err
run 1 import "$weights" -o "$work/imported.safetensors"
same err "imgq-model: write $work/imported.safetensors: it is there already; --force replaces it"
run 0 import "$weights" -o "$work/imported.safetensors" --force --quiet --bn-eps 1.001e-5
empty out
run 0 run -m "$work/imported.safetensors" "$castle"
same out "$reference"
run 0 verify "$work/imported.safetensors"
has out "ok      Keras's ImageNet weights give the stored answers"
run 0 verify --bn-eps 1e-3 "$work/imported.safetensors"
has out "its answers hold for --layout v1 --bn-eps 1.001e-5"
run 0 info --format json "$work/imported.safetensors"
has out '"format":"safetensors","name":"resnet50_keras"'
has out '"layout":"v1","bn_eps":1.001e-05,"classes":1000,"profile":"keras"'
run 0 info --tensors "$weights"
has out "tensor       conv1_conv/kernel F32 7x7x3x64"
[ "$(ls -A "$work" | grep -c imported)" -eq 1 ] || fail "import left something: $(ls -A "$work")"

# PyTorch's counters are no weights: what is written without them is the same model.
/usr/bin/python3 - "$shared/models" "$work/torch.safetensors" <<'PY' || fail "python3-h5py and python3-numpy are needed"
import json, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import convert
head, blobs, at = {}, [], 0
def add(name, dtype, shape, data):
    global at
    head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
    at += len(data)
    blobs.append(data)
for name, value in convert.torchvision(convert.read()).items():
    add(name, "F32", list(value.shape), value.tobytes())
    if name.endswith("running_var"):
        add(name.replace("running_var", "num_batches_tracked"), "I64", [], struct.pack("<q", 7))
text = json.dumps(head).encode()
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    f.writelines(blobs)
PY
run 0 import "$work/torch.safetensors" --layout v1 --profile keras --bn-eps 1.001e-5 --output "$work/rewritten.safetensors"
has out "network      ResNet-50 v1 "
has out "tensors      267,"
run 0 run -m "$work/rewritten.safetensors" "$castle"
same out "$reference"
run 0 verify "$work/rewritten.safetensors"
has out "ok      Keras's ImageNet weights give the stored answers"
rm "$work/torch.safetensors" "$work/rewritten.safetensors"

# One number in the middle of the file is another: the hash of the weights, and verify, know.
cp "$work/imported.safetensors" "$work/damaged.safetensors"
chmod u+w "$work/damaged.safetensors"
printf '\377\377\177\106' | dd of="$work/damaged.safetensors" bs=1 seek=60000000 conv=notrunc 2>/dev/null
run 7 verify "$work/damaged.safetensors"
has out "FAILED  Keras's ImageNet weights give the stored answers"

# --- what is no model ---
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 102892512\n' >"$work/pointer.h5"
run 7 info "$work/pointer.h5"
same err "imgq-model: read model $work/pointer.h5: this is a Git-LFS pointer, not the file it stands for (git lfs pull fetches it), not a safetensors, Keras HDF5 or TensorFlow.js model"
printf '<!DOCTYPE html><html></html>' >"$work/page.safetensors"
run 7 run -m "$work/page.safetensors" "$castle"
has err "this is an HTML page"
head -c 50000000 "$weights" >"$work/cut.h5"
run 7 verify "$work/cut.h5"
same err "imgq-model: $work/cut.h5 is truncated: 50000000 of $(wc -c <"$weights") bytes are there"
run 7 info "$work/none.h5"
same err "imgq-model: open $work/none.h5: No such file or directory"

# --- usage ---
run 2 info
has err "info needs a model: --model FILE or IMGQ_MODEL"
run 2 import "$weights"
has err "import needs --output"
run 2 info --format tsv "$weights"
run 2 run -m "$weights"
run 2 run -m "$weights" --profle keras "$castle"
has err "profle"
run 7 run -m "$weights" --profile carer "$castle"
has err "torchvision"
run 7 run -m "$weights" --engine steam "$castle"
has err "openblas"

[ "$failed" -eq 0 ] && echo "imgq-model: all as expected"
exit "$((failed > 0))"
