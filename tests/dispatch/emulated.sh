#!/bin/sh
# emulated.sh CPU ENGINE ISA "SETS IT HAS" "SETS IT LACKS": an older processor in qemu-user takes the engine that it can
# run, meets no instruction that it lacks, and answers as ours does. It is minutes of emulation: kernels on some hundred
# shapes, and one real picture.
cpu=$1 engine=$2 isa=$3 has=$4 lacks=$5
emulator=$(command -v qemu-x86_64 || command -v qemu-x86_64-static) || { echo "SKIPPED: no qemu-x86_64"; exit 77; }
. ./common.sh
cat >"$work/emulate" <<EOF
#!/bin/sh
exec "$emulator" -cpu $cpu "\$@"
EOF
chmod +x "$work/emulate"
run="$work/emulate"

for set in $has; do
    "$run" "$IMGQ_TEST_BIN/instruction" "$set" >"$work/out" 2>"$work/err" || complain "$cpu in qemu does not run $set"
done
for set in $lacks; do
    { "$run" "$IMGQ_TEST_BIN/instruction" "$set" >"$work/out"; code=$?; } 2>"$work/err"
    [ $code -eq 132 ] || complain "$cpu in qemu does not trap $set: $(cat "$work/out" "$work/err")"
done

# units PROGRAM CASE…: cases of a unit test, on the emulated processor
units() {
    program=$1
    shift
    for case in "$@"; do
        "$run" "$IMGQ_TEST_BIN/$program" "$case" >"$work/out" 2>&1 || complain "$cpu: $program $case: $(tail -n 20 "$work/out")"
        grep '^ok ' "$work/out" || complain "$cpu: $program has no $case"
    done
}
units test_image_kernels ""
units test_nn winograd_agrees_on_any_side a_pixels_bits_do_not_depend largest_keeps_every_nan engines_give_one_answer \
    any_number_of_threads_makes_the_same_bits the_callers_floating_point_mode denormals_are_flushed

chosen "$cpu" "$engine" "$isa" "$run" --
castle_lines "$cpu" "$run" --
if [ "$engine" = native ]; then
    castle_digits emulated "$run" --
    castle_digits here -- --isa "$isa"
    same emulated here "$isa emulated and $isa here"
else
    "$run" "$IMGQ_BIN/imgq-model" run --quiet --model "$model" --engine native "$castle" >"$work/out" 2>"$work/err"
    [ $? -eq 7 ] && grep -q "engine 'native' needs AVX2 and FMA" "$work/err" || complain "native on $cpu: $(cat "$work/err")"
fi
exit $failed
