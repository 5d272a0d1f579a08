#!/bin/sh
# The tests of the room nn on each flavour of OpenBLAS (its own threads, OpenMP's, none), and there on its kernels for
# processors older than this one: those pack their matrices, so other code of ours runs. Wants IMGQ_TEST_BIN.
test=$IMGQ_TEST_BIN/test_nn
linked=$(ldd "$test" | sed -n 's/.*libopenblas[^ ]* => \([^ ]*\) .*/\1/p')
[ -n "$linked" ] || { echo "SKIPPED: built without OpenBLAS"; exit 77; }
linked=$(readlink -f "$linked")
folders=${IMGQ_OPENBLAS_FLAVOURS:-$(dirname "$(dirname "$linked")")}
failed=0 skipped=0
said=$(mktemp "${TMPDIR:-/tmp}/imgq-openblas-XXXXXX") || exit 1
trap 'rm -f "$said"' EXIT
for flavour in pthread openmp serial; do
    library=$folders/openblas-$flavour
    if [ ! -e "$library/libopenblas.so.0" ]; then
        echo "SKIPPED: no libopenblas0-$flavour in $folders"
        skipped=1
        continue
    fi
    LD_LIBRARY_PATH=$library ldd "$test" | grep -q "$library/" || { echo "$flavour is not what was loaded"; failed=1; }
    for core in "" Haswell Nehalem; do
        if LD_LIBRARY_PATH=$library ${core:+env OPENBLAS_CORETYPE=$core} "$test" >"$said" 2>&1; then
            echo "$flavour ${core:-as the processor is}: $(grep -c '^ok' "$said") tests"
        else
            echo "$flavour ${core:-as the processor is}: $(grep -v '^ok' "$said" | head -n 5)"
            failed=1
        fi
    done
done
[ $failed = 0 ] || exit 1
[ $skipped = 0 ] || exit 77
