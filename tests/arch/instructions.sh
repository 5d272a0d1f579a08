#!/bin/sh
# No wide instruction outside the kernels that are chosen for it: objdump reads every object of the rooms. AVX and wider
# may stand only in objects that lib/*/kernels/ names after an instruction set, and not in their probes (*_fits), which
# run on every processor. Those objects define only names that say their set, and no weak ones: the linker may take any
# of several equal functions, and would give an old processor the wide copy. $1: the folder of the build's lib/.
set -u
case $(uname -m) in x86_64) ;; *) exit 0 ;; esac
failed=0 narrow=0 wide=0
complain() { echo "$1"; failed=1; }
# a register, or a mnemonic with VEX: v… with vector operands, vzeroupper, tile instructions, BMI and FMA
wide_instruction='%[yz]mm|%tmm|%k[0-7]|\bvzero(upper|all)\b|\bv[a-z0-9]+ .*%xmm|\b(mulx|pdep|pext|bzhi|rorx|sarx|shlx|shrx|andn|ldtilecfg|tilerelease)[lq]? '
for object in $(find "$1" -path '*/room_*.dir/*' -name '*.o'); do
    name=${object#*/room_}
    case $name in
    */kernels/*_avx2.c.o | */kernels/*_avx512*.c.o | */kernels/*_amx*.c.o)
        wide=$((wide + 1))
        found=$(objdump -d --no-show-raw-insn "$object" | awk '/^[0-9a-f]+ <.*>:$/ { probe = /_fits>:$/ } probe' | grep -E "$wide_instruction" | head -n 3)
        [ -z "$found" ] || complain "$name: a probe uses what it looks for: $found"
        found=$(nm --defined-only "$object" | grep -E ' [A-Z] ' | grep -vE ' [TRD] .*(avx2|avx512|amx)')
        [ -z "$found" ] || complain "$name: a global that does not say its instruction set, or a weak one: $found"
        objdump -d --no-show-raw-insn "$object" | grep -qE "$wide_instruction" || case $name in
        */set_*) ;;
        *) complain "$name holds nothing wide: its flags are missing" ;;
        esac
        ;;
    *)
        narrow=$((narrow + 1))
        found=$(objdump -d --no-show-raw-insn "$object" | grep -E "$wide_instruction" | head -n 3)
        [ -z "$found" ] || complain "$name: $found"
        ;;
    esac
done
echo "$narrow objects for every processor, $wide for some"
[ "$narrow" -gt 50 ] && [ "$wide" -gt 10 ] || complain "the objects of the rooms were not found in $1"
exit $failed
