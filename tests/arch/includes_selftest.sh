#!/bin/sh
# A wall that nothing can hit holds nothing: each forbidden kind of include, planted in a copy, must be found.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/imgq-arch-XXXXXX") || exit 1
trap 'rm -rf "$tree"' EXIT
failed=0
plant() { # FILE LINE: must be refused
    rm -rf "$tree/lib" "$tree/cli"
    mkdir -p "$tree/lib/base" "$tree/$(dirname "$1")" "$tree/cli"
    cp "$here/../../lib/rooms.txt" "$tree/lib/"
    echo '#include "base/fail.h"' >"$tree/lib/base/fail.c"
    sh "$here/includes.sh" "$tree" >/dev/null || { echo "the clean copy is refused"; failed=1; }
    echo "$2" >"$tree/$1"
    if sh "$here/includes.sh" "$tree" >/dev/null; then
        echo "not found: $2 in $1"
        failed=1
    fi
}
plant lib/base/x.c '#include "net/sock.h"'
plant lib/image/x.c '#include "redis/conn.h"'
plant lib/redis/conn.c '#include <hiredis/read.h>'
plant lib/nn/x.c '#include <immintrin.h>'
plant lib/model/x.c '#include <hdf5.h>'
plant lib/attic/x.c '#include "base/fail.h"'
plant cli/imgq-x.c '#include "queue/queue.h"'
plant cli/imgq-x.c '#include "base/json.h"'
exit $failed
