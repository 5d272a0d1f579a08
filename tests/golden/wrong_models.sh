#!/bin/sh
# Every wrong model file, as a person meets it: what imgq-model and imgq-worker say, to the letter, and that they end with 7.
# Each is the shared F16 weights with one thing wrong. IMGQ_WEIGHTS: folder of tests/support/make_weights.sh.
set -u
[ -r "$IMGQ_WEIGHTS/resnet50_f16.safetensors" ] || { echo "SKIPPED: no shared folder with weights and oracles (set IMGQ_SHARED)" >&2; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-wrong-XXXXXX") || exit 1
redis=""
finish() {
  [ -n "$redis" ] && kill "$redis" 2>/dev/null && wait "$redis" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT
unset IMGQ_MODEL
failed=0
redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" >"$work/redis.log" 2>&1 &
redis=$!
until redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1; do kill -0 $redis || exit 1; sleep 0.05; done

cat >"$work/make.py" <<'PY'
import json, struct, sys
source, target, fault = sys.argv[1:]
with open(source, "rb") as f:
    size = struct.unpack("<Q", f.read(8))[0]
    head, data = json.loads(f.read(size)), f.read()
head.pop("__metadata__", None)
tensors = {n: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for n, t in head.items()}


def hugging_face(name):
    part = name.split(".")
    kind = lambda word: "convolution" if word in ("conv1", "conv2", "conv3", "0") else "normalization"
    if part[0] == "fc":
        return "classifier.1." + part[1]
    if not part[0].startswith("layer"):
        return f"resnet.embedder.embedder.{kind(part[0])}.{part[1]}"
    block = f"resnet.encoder.stages.{int(part[0][5]) - 1}.layers.{part[1]}."
    if part[2] == "downsample":
        return f"{block}shortcut.{kind(part[3])}.{part[4]}"
    return f"{block}layer.{int(part[2][-1]) - 1}.{kind(part[2])}.{part[3]}"


def change(name, what):
    dtype, shape, values = tensors[name]
    tensors[name] = what(dtype, shape, values)


if fault == "missing":
    del tensors["layer3.2.conv2.weight"]
elif fault == "extra":
    tensors["layer5.0.conv1.weight"] = ("F16", [2], b"\0" * 4)
elif fault == "misshaped":
    change("layer1.0.conv2.weight", lambda d, s, v: (d, [64, 64, 9, 1], v))
elif fault == "head":
    change("fc.bias", lambda d, s, v: (d, [999], v[:-2]))
elif fault == "nan":
    change("layer2.0.conv1.weight", lambda d, s, v: (d, s, v[:20] + struct.pack("<e", float("nan")) + v[22:]))
elif fault == "profile":
    tensors = {hugging_face(n): t for n, t in tensors.items()}
out, at = {}, 0
for name, (dtype, shape, values) in tensors.items():
    out[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
    at += len(values)
text = json.dumps(out).encode()
with open(target, "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    left = at // 2 if fault == "truncated" else at
    for _, _, values in tensors.values():
        f.write(values[:left])
        left -= min(left, len(values))
PY

# refused MESSAGE ARGUMENT…: both programs say exactly this and end with 7
refused() {
  message=$1
  shift
  "$IMGQ_BIN/imgq-model" info "$@" >"$work/out" 2>"$work/err"
  code=$?
  [ $code -eq 7 ] && [ ! -s "$work/out" ] && [ "$(cat "$work/err")" = "imgq-model: $message" ] ||
    { echo "FAILED: imgq-model info $*: code $code, $(cat "$work/err")" >&2; echo "expected: $message" >&2; failed=1; }
  timeout 60 "$IMGQ_BIN/imgq-worker" --redis "unix://$work/redis.sock" --name w --model "$@" >"$work/out" 2>"$work/err"
  code=$?
  [ $code -eq 7 ] && [ ! -s "$work/out" ] && [ "$(sed 's/^\[[^]]*\] //' "$work/err")" = "[w] [imgq-worker] ERROR: $message" ] ||
    { echo "FAILED: imgq-worker --model $*: code $code, $(cat "$work/err")" >&2; echo "expected: $message" >&2; failed=1; }
}
# wrong FAULT MESSAGE: the file of that fault
wrong() {
  file=$work/$1.safetensors
  /usr/bin/python3 "$work/make.py" "$IMGQ_WEIGHTS/resnet50_f16.safetensors" "$file" "$1" || exit 1
  refused "read model $file: $2" "$file"
  rm "$file"
}

wrong missing "tensor 'layer3.2.conv2.weight' is missing"
wrong extra "tensor 'layer5.0.conv1.weight' is not part of a ResNet-50"
wrong misshaped "tensor 'layer1.0.conv2.weight' has shape 64x64x9x1, a ResNet-50 has 64x64x3x3"
wrong head "tensor 'fc.bias' has shape 999, a ResNet-50 has 1000"
wrong nan "tensor 'layer2.0.conv1.weight' has a NaN at index 10"
wrong truncated "tensor 'layer4.0.downsample.0.weight' ends at byte 29304448 of 25663272: the file is truncated"
wrong profile "its preprocessing cannot be told: name a profile, one of keras, torchvision, torchvision-v2, timm"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 102892512\n' >"$work/pointer.safetensors"
refused "read model $work/pointer.safetensors: this is a Git-LFS pointer, not the file it stands for (git lfs pull fetches it), not a safetensors, Keras HDF5 or TensorFlow.js model" "$work/pointer.safetensors"
printf '<!DOCTYPE html><html></html>' >"$work/page.h5"
refused "read model $work/page.h5: this is an HTML page, not the file that its link promised, not a safetensors, Keras HDF5 or TensorFlow.js model" "$work/page.h5"
seq 999 >"$work/labels.txt"
refused "read labels from $work/labels.txt: 999 labels, the model has 1000 classes" "$IMGQ_WEIGHTS/resnet50_f16.safetensors" --labels "$work/labels.txt"
[ $failed -eq 0 ] && echo "wrong models: all refused as expected"
exit $failed
