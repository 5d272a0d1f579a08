#!/bin/sh
# imgq-bench on the real weights: its figures fit each other, its arrivals are its seed's, and what is wrong is refused.
shared=${IMGQ_SHARED:-$IMGQ_SOURCE/../shared}
model=$shared/models/resnet50_keras.h5
bench=$IMGQ_BIN/imgq-bench
[ -r "$model" ] || { echo "SKIPPED: no $model"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-bench-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

"$bench" --model "$model" --batch 1,2 --threads 1,2 --seconds 0.1 --rounds 2 --layers --groups --format json >"$work/points" ||
    { echo "points: exit $?"; failed=1; }
"$bench" --model "$model" --layout v1.5 --batch 1 --seconds 0.01 --rounds 1 --format json >"$work/v15" ||
    { echo "v1.5: exit $?"; failed=1; }
for isa in avx2 scalar; do
    "$bench" --model "$model" --isa $isa --batch 1 --seconds 0.01 --rounds 1 --format json >"$work/isa-$isa" ||
        { echo "$isa: exit $?"; failed=1; }
done
"$bench" --model "$model" --precision medium --batch 1 --seconds 0.01 --rounds 1 --format json >"$work/medium" ||
    { echo "medium: exit $?"; failed=1; }
"$bench" --model "$model" --engine scalar --batch 1 --seconds 0.01 --rounds 1 --format json >"$work/plain" ||
    { echo "scalar: exit $?"; failed=1; }
"$bench" --model "$model" --batch 1 --seconds 0.01 --rounds 1 --layers --groups >"$work/text" || { echo "text: exit $?"; failed=1; }
for word in "loaded in" "^peak" "img/s" "layers of" "groups of" "of peak"; do
    grep -q -- "$word" "$work/text" || { echo "text: no '$word'"; failed=1; }
done
for run in 1 2; do
    "$bench" --model "$model" --batch 2 --scenario server --rate 6 --seconds 1.5 --seed 9 --format json >"$work/server$run" ||
        { echo "server: exit $?"; failed=1; }
done
"$bench" --model "$model" --batch 1 --scenario single --seconds 0.2 >"$work/single" || { echo "single: exit $?"; failed=1; }
grep -q "not an MLPerf result" "$work/single" || { echo "single: does not say what it is not"; failed=1; }
printf '1\n0\n1\n' | "$bench" --model "$model" --batch 1,2 --seconds 0.01 --rounds 1 --step --format json >"$work/steps" ||
    { echo "steps: exit $?"; failed=1; }

python3 - "$work" <<'EOF' || failed=1
import json, sys
read = lambda name: open(sys.argv[1] + "/" + name).read()
wrong = []
def check(ok, what):
    if not ok:
        wrong.append(what)
points = json.loads(read("points"))
check(points["macs_per_image"] == 3857973248, "multiply-adds of v1: %s" % points["macs_per_image"])
check(json.loads(read("v15"))["macs_per_image"] == 4089184256, "multiply-adds of v1.5")
check([(p["threads"], p["batch"]) for p in points["points"]] == [(1, 1), (1, 2), (2, 1), (2, 2)], "the points")
for p in points["points"]:
    name = "threads %d, batch %d: " % (p["threads"], p["batch"])
    check(p["rounds"] == 2, name + "rounds")
    check(p["images_per_s"]["best"] >= p["images_per_s"]["median"] > 0, name + "best and median")
    check(p["peak_gflops"]["best"] >= p["peak_gflops"]["median"] > 0, name + "peak")
    gflops = p["images_per_s"]["best"] * 2 * points["macs_per_image"] / 1e9
    check(abs(p["gflops"]["best"] / gflops - 1) < 1e-3, name + "GFLOP/s")
    check(abs(p["share_of_peak"]["best"] * p["peak_gflops"]["best"] / gflops - 1) < 1e-2, name + "share")
    check(len(p["layers"]) == 56, name + "layers")
    check(sum(l["macs"] for l in p["layers"]) == points["macs_per_image"], name + "multiply-adds of the layers")
    check(0 < sum(l["best_ms"] for l in p["layers"]) <= p["batch_ms"]["best"] * 1.0001, name + "time of the layers")
    check(all(l["algorithm"] for l in p["layers"]), name + "algorithms")
    check(p["arena_bytes"] > 1000000, name + "arena")
    check(p["packed_bytes"] > 1000000 or p["engine"] != "native", name + "packed")
    check(p["session_ms"] > 0 and p["first_run_ms"] > 0 and points["load_ms"] > 0, name + "load")
    groups = p["groups"]
    kind = lambda l: (l["op"], l["out_height"], l["algorithm"])
    check(len(set(map(kind, p["layers"]))) <= len(groups) < 40, name + "groups: %d" % len(groups))
    check(sum(g["layers"] for g in groups) == 56, name + "layers of the groups")
    check(sum(g["macs"] for g in groups) == points["macs_per_image"], name + "multiply-adds of the groups")
    for g in groups:
        mine = [l for l in p["layers"] if kind(l) == kind(g) and g["window"].startswith("%dx" % l["kernel"] if l["kernel"] else "")]
        check(abs(sum(l["best_ms"] for l in mine) - g["best_ms"]) < 0.01, name + "time of group %s" % (kind(g),))
        check(abs(g["share_of_peak"] - g["gflops"] / p["peak_gflops"]["best"]) < 1e-3 + g["share_of_peak"] / 100,
              name + "share of group %s" % (kind(g),))
for isa, want in (("avx2", "avx2"), ("scalar", "plain")):
    p = json.loads(read("isa-" + isa))["points"][0]
    native = p["engine"] == "native"
    check(p["peak_isa"] == want or not native, "--isa %s: the peak is %s" % (isa, p["peak_isa"]))
    check(p["isa"] == want or isa != "scalar" and not native, "--isa %s: kernels of %s" % (isa, p["isa"]))
medium = json.loads(read("medium"))["points"][0]
check((medium["peak_isa"] == "avx512-bf16") == (medium["precision"] == "medium"), "the peak beside bf16: %s" % medium["peak_isa"])
check(json.loads(read("plain"))["points"][0]["peak_isa"] == "plain", "the peak beside plain loops")
servers = [json.loads(read("server%d" % run))["points"][0]["trials"] for run in (1, 2)]
check(len(servers[0]) == 1 and servers[0][0]["queries"] == servers[1][0]["queries"] > 0, "arrivals of one seed")
steps = [json.loads(line) for line in read("steps").splitlines()[:6]]
check([s.get("ready", "") for s in steps[:3]] == [0, 1, None], "steps: the beginning")
check([s.get("point") for s in steps[3:]] == [1, 0, 1], "steps: the answers")
check(all(s["best_images_per_s"] > 0 for s in steps[3:]), "steps: the figures")
for what in wrong:
    print("FAILED: " + what)
sys.exit(1 if wrong else 0)
EOF

# refused EXIT-CODE PART-OF-MESSAGE ARGUMENT...
refused() {
    want=$1 part=$2
    shift 2
    "$bench" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ $code -eq "$want" ] && grep -q -- "$part" "$work/err" && return
    echo "imgq-bench $*: exit $code, $(cat "$work/err")"
    failed=1
}
refused 2 "no model" --batch 1
refused 2 "too much" --model "$model" again
refused 2 "--batch 1,,2" --model "$model" --batch 1,,2
refused 2 "--batch 0" --model "$model" --batch 0
refused 2 "--threads 129" --model "$model" --threads 129
refused 2 "--groups has no --scenario" --model "$model" --groups --scenario single
refused 2 "--layers has no --scenario" --model "$model" --layers --scenario offline
refused 7 "there-is-none" --model "$work/there-is-none"
refused 7 "engine 'quantum' is not built in" --model "$model" --engine quantum --batch 1
refused 7 "instruction set 'mmx'" --model "$model" --isa mmx --batch 1
"$bench" --model "$model" --batch 1 --step >"$work/out" 2>"$work/err" <<'EOF'
7
EOF
[ $? -eq 2 ] && grep -q "names no point" "$work/err" || { echo "--step 7: $(cat "$work/err")"; failed=1; }
exit $failed
