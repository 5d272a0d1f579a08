# What `./dev` needs from Debian 12, and how it gets there. Sourced by dev.

packages_build="gcc libc6-dev cmake ninja-build pkg-config libhiredis-dev libcjson-dev libpng-dev libjpeg62-turbo-dev
 zlib1g-dev libopenblas-pthread-dev libhdf5-dev libssl-dev libsmartcols-dev redis-server"
packages_demo="curl ca-certificates"
packages_check="libcunit1-dev g++ clang libclang-rt-14-dev binutils python3-pil python3-numpy python3-redis python3-h5py python3-torch libopenblas0-openmp libopenblas0-serial
 mandoc git file locales systemd"
packages_check_full="qemu-user"
packages_peers="libdnnl-dev python3-torch python3-torchvision python3-h5py"

# packages_missing PACKAGE…: those that are not installed, on one line
packages_missing() {
  local package missing=""
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
  done
  echo "${missing# }"
}

# packages_install PACKAGE…: installs what is missing; without the right to, prints the one line and stops
packages_install() {
  local missing as_root=""
  missing=$(packages_missing "$@")
  [ -z "$missing" ] && return 0
  command -v apt-get >/dev/null || die "this is no Debian; install what these packages hold: $missing"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && as_root="sudo"
    if [ -z "$as_root" ]; then
      say "these Debian packages are missing; install them and come again:"
      echo "  sudo apt-get install --no-install-recommends $missing" >&2
      exit 1
    fi
  fi
  say "installing: $missing"
  case " $missing " in *" redis-server "*) packages_hold_redis_service "$as_root" ;; esac
  { $as_root apt-get update && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends \
      -o DPkg::Lock::Timeout=600 $missing; } >"$work/packages.log" 2>&1 || { tail -n 20 "$work/packages.log" >&2; packages_release_redis_service
      die "apt-get could not install them"; }
  packages_release_redis_service
}

# Installing redis-server starts its service; we want its program alone. A policy says no while the package is
# unpacked, and the service is not left enabled. One that was there before is not touched: then nothing is installed.
packages_hold_redis_service() {
  redis_as_root=$1
  redis_policy=""
  [ -e /usr/sbin/policy-rc.d ] && return 0
  printf '#!/bin/sh\ncase "$1" in redis*) exit 101 ;; esac\nexit 0\n' | $redis_as_root tee /usr/sbin/policy-rc.d >/dev/null
  $redis_as_root chmod 755 /usr/sbin/policy-rc.d
  redis_policy=/usr/sbin/policy-rc.d
}

packages_release_redis_service() {
  [ -n "${redis_policy:-}" ] || return 0
  $redis_as_root rm -f "$redis_policy"
  redis_policy=""
  if command -v systemctl >/dev/null; then
    $redis_as_root systemctl disable redis-server.service >/dev/null 2>&1 || true
  fi
}
