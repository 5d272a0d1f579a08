# `./dev demo`: pictures through a private Redis and a worker, on a machine with nothing of this installed. Sourced by dev.

demo() {
  local model drawings photo
  for photo in "$@"; do [ -r "$photo" ] || die "demo: cannot read $photo"; done
  packages_install $packages_build $packages_demo
  say "building"
  build release -DIMGQ_TESTS=OFF
  say "weights"
  model=$(weights_path) || die "no model can be had or made"
  say "a private Redis, and a worker on it"
  demo_start "$model"
  if [ $# -gt 0 ]; then
    demo_classify "$@"
  elif drawings=$(weights_drawings "$model") && [ -n "$drawings" ]; then
    demo_count "$drawings"
  else
    demo_classify tests/golden/*.png tests/golden/*.jpg || return
    echo
    echo "These are drawings that come with the project. Your own photo: ./dev demo photo.jpg"
  fi
}

# demo_start MODEL: Redis and a worker that end with this script
demo_start() {
  redis-server --port 0 --unixsocket "$work/redis.sock" --save "" --dir "$work" >"$work/redis.log" 2>&1 &
  children+=($!)
  until redis-cli -s "$work/redis.sock" ping >"$work/ping.log" 2>&1; do
    kill -0 "${children[-1]}" 2>/dev/null || { tail -n 5 "$work/redis.log" >&2; die "the private redis-server does not start"; }
    sleep 0.05
  done
  export IMGQ_REDIS_URL=unix://$work/redis.sock
  build/bin/imgq-worker --wait-redis --model "$1" --name demo-worker &
  children+=($!)
}

demo_classify() {
  say "imgq-submit $*"
  build/bin/imgq-submit --timeout 60 "$@"
}

# demo_count FOLDER: the drawings say in their names what they are
demo_count() {
  say "imgq-submit --recursive $1"
  build/bin/imgq-submit --timeout 120 --top 1 --format tsv --recursive "$1" >"$work/answers" || return 1
  awk -F '\t' '
    { of++; name = $1; sub(/.*\//, "", name); sub(/^[0-9]+-/, "", name); sub(/\.png$/, "", name)
      if (name == $6) right++
      if (of <= 8) printf "  a drawing of %-18s is called %-18s %.4f\n", name, $6, $7 }
    END { printf "  ...\n%d of %d fresh drawings were named right. This is a demonstration: a network that nobody trained,\n", right, of
          print "whose last layer was fitted to drawings a minute ago. It knows nothing of photos; IMGQ_MODEL=FILE uses real weights." }' "$work/answers"
}
