# `./dev demo`: photos through a private Redis and a worker, on a machine with nothing of this installed. Sourced by dev.

demo() {
  local model redis=$work/redis.sock pictures photo
  for photo in "$@"; do [ -r "$photo" ] || die "demo: cannot read $photo"; done
  packages_install $packages_build
  say "building"
  build release -DIMGQ_TESTS=OFF
  say "weights"
  model=$(weights_path) || die "no weights"
  say "a private Redis and a worker"
  redis-server --port 0 --unixsocket "$redis" --save "" --appendonly no --daemonize no --dir "$work" >"$work/redis.log" 2>&1 &
  children+=($!)
  IMGQ_REDIS_URL=unix://$redis build/bin/imgq-worker --wait-redis --model "$model" --name demo &
  children+=($!)
  export IMGQ_REDIS_URL=unix://$redis
  if [ $# -gt 0 ]; then
    say "imgq-submit $*"
    build/bin/imgq-submit --timeout 60 "$@"
  fi
}
