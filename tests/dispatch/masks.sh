#!/bin/sh
# IMGQ_ISA and --isa hold the native engine down: each mask is what the session says it runs on, the castle's five lines
# come out, and AVX2 and AVX-512 give the same bits.
. ./common.sh
has() { grep -m 1 '^flags' /proc/cpuinfo | grep -qw "$1"; }

if has avx2 && has fma; then
    chosen "IMGQ_ISA=avx2" native avx2 env IMGQ_ISA=avx2 --
    chosen "--isa avx2" native avx2 -- --isa avx2
    castle_lines "IMGQ_ISA=avx2" env IMGQ_ISA=avx2 --
    castle_digits avx2 -- --isa avx2
    if has avx512f && has avx512bw && has avx512dq && has avx512vl; then
        chosen "no mask" native avx512 --
        chosen "--isa avx512" native avx512 -- --isa avx512
        castle_digits avx512 -- --isa avx512
        same avx512 avx2 "AVX-512 and AVX2"
        if has avx512_bf16 && ! has amx_bf16; then
            precise="\"precision\":\"medium\""
            castle_digits medium -- --precision medium
            grep -q "$precise" "$work/json" || complain "medium is not medium: $(head -c 300 "$work/json")"
            castle_digits masked -- --precision medium --isa avx512
            grep -q "$precise" "$work/json" && complain "medium under a mask that leaves no bf16"
            same avx512 masked "AVX-512 and medium under its mask"
        fi
        if ! has amx_bf16; then
            castle_digits high -- --precision high
            same avx512 high "AVX-512 and high without tile units"
        fi
    else
        chosen "no mask" native avx2 --
        echo "this processor has no AVX-512"
    fi
    castle_lines "no mask" --
fi
chosen "IMGQ_ISA=scalar" openblas plain env IMGQ_ISA=scalar --
castle_lines "IMGQ_ISA=scalar" env IMGQ_ISA=scalar --
chosen "the plain loops" scalar "" -- --engine scalar
castle_lines "the plain loops" -- --engine scalar
IMGQ_ISA=scalar "$IMGQ_BIN/imgq-model" run --quiet --model "$model" --engine native "$castle" >"$work/out" 2>"$work/err"
[ $? -eq 7 ] && grep -q "engine 'native' needs AVX2 and FMA" "$work/err" || complain "native under a mask: $(cat "$work/err")"
exit $failed
