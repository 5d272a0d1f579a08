#!/bin/sh
# What `cmake --install` puts on a machine works there: the examples build outside the tree with pkg-config and with
# find_package, run, and a program that only submits loads no BLAS. $1: sources, $2: build folder.
set -u
source=$1
build=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-package-XXXXXX") || exit 1
redis=""
worker=""
failed=0
finish() {
    [ -n "$worker" ] && kill "$worker" 2>/dev/null && wait "$worker" 2>/dev/null
    [ -n "$redis" ] && kill "$redis" 2>/dev/null && wait "$redis" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
complain() { echo "FAILED: $*"; failed=1; }

# A prefix, and a libdir that is not the machine's default, both baked into the .pc files.
cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DIMGQ_TESTS=OFF \
    -DCMAKE_INSTALL_PREFIX="$work/opt" -DCMAKE_INSTALL_LIBDIR=lib64 >"$work/log" 2>&1 &&
    cmake --build "$work/build" -j "$(nproc)" >>"$work/log" 2>&1 && cmake --install "$work/build" >>"$work/log" 2>&1 ||
    { tail -n 30 "$work/log"; exit 1; }
prefix=$work/opt
export PKG_CONFIG_PATH="$prefix/lib64/pkgconfig" LD_LIBRARY_PATH="$prefix/lib64"

for want in bin/imgq-submit bin/imgq-worker bin/imgq-stress bin/imgq-model bin/imgq-ctl bin/imgq-bench include/imgq/imgq.h \
    lib64/libimgq.so.0.1 lib64/libimgq-client.so.0.1 lib64/libimgq.a lib64/libimgq-client.a \
    lib64/cmake/Imgq/ImgqConfig.cmake lib/systemd/system/imgq-worker@.service; do
    [ -e "$prefix/$want" ] || complain "not installed: $want"
done
for library in imgq imgq-client; do
    objdump -p "$prefix/lib64/lib$library.so" | grep -q "SONAME.*lib$library.so.0.1" || complain "lib$library.so has no SONAME"
done
grep -rl "$source" "$prefix" >"$work/paths" && complain "the sources' path stands in: $(cat "$work/paths")"

# pkg-config, outside the tree
mkdir "$work/pc"
for example in classify_file:imgq submit_await:imgq-client event_loop:imgq-client embed_worker:imgq; do
    name=${example%%:*}
    # shellcheck disable=SC2046
    cc -std=c11 -D_GNU_SOURCE -Wall -Werror "$source/examples/$name.c" -o "$work/pc/$name" $(pkg-config --cflags --libs "${example##*:}") ||
        complain "$name does not build with pkg-config"
done
# find_package, outside the tree
cp -r "$source/examples" "$work/examples"
cmake -S "$work/examples" -B "$work/find" -G Ninja -DImgq_DIR="$prefix/lib64/cmake/Imgq" >"$work/log" 2>&1 &&
    cmake --build "$work/find" >>"$work/log" 2>&1 || { tail -n 20 "$work/log"; complain "the examples do not build with find_package"; }

for program in "$work/pc/submit_await" "$work/find/event_loop" "$prefix/bin/imgq-submit" "$prefix/bin/imgq-stress" "$prefix/bin/imgq-ctl"; do
    ldd "$program" | grep -iE 'blas|hdf5|libimgq\.so' && complain "$program loads what a submitting program does not need"
    ldd "$program" | grep 'not found' && complain "$program misses a library"
done
ldd "$work/pc/classify_file" | grep -q libimgq.so.0.1 || complain "classify_file does not use libimgq.so"

# They run: a model, a private Redis, the embedded worker, the waiting programs.
h5=${IMGQ_SHARED:-$source/../shared}/models/resnet50_keras.h5
photo=${IMGQ_SHARED:-$source/../shared}/images/castle_image.jpg
if [ ! -r "$h5" ]; then
    echo "SKIPPED: no shared folder with weights: the installed examples were built but not run"
    [ $failed -eq 0 ] && exit 77
    exit 1
fi
"$prefix/bin/imgq-model" import "$h5" --output "$work/keras.safetensors" >"$work/log" 2>&1 || { cat "$work/log"; complain "imgq-model import"; }
redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" >"$work/redis.log" 2>&1 &
redis=$!
until redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1; do kill -0 $redis || exit 1; sleep 0.05; done
"$work/pc/embed_worker" "unix://$work/redis.sock" "$work/keras.safetensors" &
worker=$!
cat >"$work/want" <<'TEXT'
1. church: 0.4136
2. castle: 0.3930
3. monastery: 0.1733
4. palace: 0.0041
5. vault: 0.0034
TEXT
"$work/pc/classify_file" "$work/keras.safetensors" "$photo" >"$work/got" && diff "$work/want" "$work/got" || complain "classify_file"
"$work/pc/submit_await" "unix://$work/redis.sock" "$photo" >"$work/got" && diff "$work/want" "$work/got" || complain "submit_await"
"$work/find/event_loop" "unix://$work/redis.sock" "$photo" "$photo" >"$work/got" && [ "$(grep -c ' church$' "$work/got")" = 2 ] || complain "event_loop"
kill -TERM $worker && wait $worker || complain "embed_worker ended with $?"
worker=""
exit $failed
