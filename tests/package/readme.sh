#!/bin/sh
# The README's commands and programs do what it says: each ```sh block is run in a folder that holds resnet50.safetensors
# and photo.jpg, and must print the plain block that follows it; each ```c block compiles and links.
# $1: sources, $2: build folder.
set -u
source=$1
build=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-readme-XXXXXX") || exit 1
redis=""
group=""
failed=0
finish() {
    [ -n "$group" ] && kill -- "-$group" 2>/dev/null
    [ -n "$redis" ] && kill "$redis" 2>/dev/null && wait "$redis" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
complain() { echo "FAILED: $*"; failed=1; }

# splits the README: block-N.sh, block-N.c, block-N.txt (no language), N counts them all
awk -v out="$work/block-" '
    /^```/ { if (inside) { inside = 0; close(file); next }
             kind = substr($0, 4); inside = 1; n++; file = out n "." (kind == "" ? "txt" : kind); next }
    inside { print > file }' "$source/README.md"
ls "$work"/block-*.sh "$work"/block-*.c >/dev/null || { echo "the README has no blocks"; exit 1; }

for block in "$work"/block-*.c; do
    cc -std=c11 -Wall -Wextra -Werror -fPIC -shared -Wl,-z,defs -I"$source/include" "$block" -o "$work/block.so" -L"$build/lib" -limgq-client ||
        complain "$(basename "$block") does not build"
done

shared=${IMGQ_SHARED:-$source/../shared}
if [ ! -r "$shared/models/resnet50_keras.h5" ]; then
    echo "SKIPPED: no shared folder with weights: the README's commands were not run"
    [ $failed -eq 0 ] && exit 77
    exit 1
fi
PATH=$build/bin:$PATH
export PATH IMGQ_REDIS_URL="unix://$work/redis.sock"
redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" >"$work/redis.log" 2>&1 &
redis=$!
until redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1; do kill -0 $redis || exit 1; sleep 0.05; done
# The C blocks as they stand, one on each side of that Redis: what the consumer answers, the producer prints.
cat >"$work/main.c" <<'C'
#include <imgq/queue.h>
#include <stdlib.h>
int classify(imgq_queue *queue, const void *jpeg, size_t len, imgq_error *err);
int serve(imgq_queue *queue, imgq_error *err);
int main(int argc, char **argv)
{
    imgq_error err = {0};
    imgq_env *env = NULL;
    imgq_queue *queue = NULL;
    imgq_queue_options options = IMGQ_QUEUE_OPTIONS_INIT;
    options.roles = argc > 1 && *argv[1] == 'c' ? IMGQ_ROLE_WORKER : IMGQ_ROLE_PRODUCER;
    options.keep_leases = options.roles == IMGQ_ROLE_WORKER;
    if (imgq_env_create(NULL, &env, &err) != IMGQ_OK ||
        imgq_queue_open(env, getenv("IMGQ_REDIS_URL"), &options, &queue, &err) != IMGQ_OK)
        return 1;
    const int status = options.keep_leases ? serve(queue, &err) : classify(queue, "a photo", 7, &err);
    imgq_queue_close(queue);
    imgq_env_destroy(env);
    return status != IMGQ_OK;
}
C
cc -std=c11 -I"$source/include" "$work/main.c" "$work"/block-*.c -o "$work/both" -L"$build/lib" -limgq-client -Wl,-rpath,"$build/lib" ||
    complain "the README's C does not link"
"$work/both" consumer &
consumer=$!
timeout 60 "$work/both" producer >"$work/got" || { complain "the README's producer ends with $?"; kill $consumer; }
wait $consumer || complain "the README's consumer ends with $?"
grep -q '"top":\[\[null,"picture",1\]\]' "$work/got" || complain "the README's producer printed $(cat "$work/got")"

mkdir "$work/home" && cd "$work/home" || exit 1
imgq-model import "$shared/models/resnet50_keras.h5" --output resnet50.safetensors >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cp "$shared/images/castle_image.jpg" photo.jpg
for block in "$work"/block-*.sh; do
    number=${block##*/block-}
    want=$work/block-$((${number%.sh} + 1)).txt
    setsid sh -e "$block" >"$work/got" 2>"$work/err" &
    group=$!
    wait $group || complain "$(cat "$block"): exit code $?, $(cat "$work/err")"
    [ ! -e "$want" ] || diff "$want" "$work/got" || complain "$(cat "$block") printed something else"
    kill -- "-$group" 2>/dev/null
    group=""
done
exit $failed
