# `./dev peers`: other engines, to be measured against (docs/performance.md). Nothing else needs them. Sourced by dev.

# peers FOLDER
peers() {
  local shared=${IMGQ_SHARED:-../shared} folder=$1
  [ -x "$shared/bench/ort/setup" ] || die "peers: $shared/bench is not there (IMGQ_SHARED)"
  command -v node >/dev/null && command -v npm >/dev/null || packages_install nodejs npm # another source's will do as well
  packages_install $packages_build $packages_peers
  mkdir -p "$folder" || exit 1
  folder=$(readlink -f "$folder")
  say "ONNX Runtime and the network in its format"
  "$shared/bench/ort/setup" "$folder/ort" >"$work/peers.log" 2>&1 || { tail -n 20 "$work/peers.log" >&2; die "peers: ONNX Runtime's setup failed"; }
  [ -f "$folder/ort/resnet50_v1.onnx" ] && [ -d "$folder/ort/node_modules/onnxruntime-node" ] ||
    die "peers: ONNX Runtime's setup left no model or no package in $folder/ort"
  say "the model as safetensors"
  [ -x build/bin/imgq-model ] || build release -DIMGQ_TESTS=OFF
  [ -f "$folder/resnet50.safetensors" ] ||
    build/bin/imgq-model import "$shared/models/resnet50_keras.h5" --quiet --output "$folder/resnet50.safetensors" || exit 1
  say "all peers are in $folder; tests/bench/engine-tables uses them, IMGQ_PEERS names another folder"
}
