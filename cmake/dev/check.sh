# `./dev check`: what runs where is in docs/testing.md. Sourced by dev.

check_passed=0
check_failed=0

# check_suite NAME BUILD_FOLDER CTEST_OPTION…: runs ctest, counts, keeps the output of what failed
check_suite() {
  local name=$1 folder=$2 log status skipped total failed
  shift 2
  log=$folder/Testing/imgq-$name.log
  mkdir -p "$folder/Testing"
  say "$name"
  ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "${IMGQ_TEST_JOBS:-$((cores + 1))}" "$@" 2>&1 | tee "$log" |
    grep --line-buffered -E '^ *[0-9]+/[0-9]+ Test|\*\*\*|tests passed' | sed -u 's/ \.\.*/ /'
  status=${PIPESTATUS[0]}
  total=$(sed -n 's/.*tests failed out of \([0-9]*\)$/\1/p' "$log" | tail -n 1)
  failed=$(sed -n 's/.* \([0-9]*\) tests failed out of.*/\1/p' "$log" | tail -n 1)
  skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test.*\*\*\*Skipped' "$log")
  if [ "$skipped" -gt 0 ]; then
    grep -E 'SKIPPED:' "$log" | sort | uniq -c >&2
    if [ "${CI:-}" = true ]; then
      echo "in CI nothing may be skipped" >&2
      status=1
      failed=$((${failed:-0} + skipped))
    fi
  fi
  [ "$status" -eq 0 ] || { grep -vE '^ *[0-9]+/[0-9]+ Test.*Passed|^ *Start' "$log" | tail -n 150 >&2; [ "${failed:-0}" -gt 0 ] || failed=1; }
  check_failed=$((check_failed + ${failed:-0}))
  check_passed=$((check_passed + (${total:-0} > ${failed:-0} ? ${total:-0} - ${failed:-0} : 0)))
}

check() {
  local full=0 started=$SECONDS option
  for option in "$@"; do
    case $option in
      --full) full=1 ;;
      *) die "check: unknown option $option (there is --full)" ;;
    esac
  done
  packages_install $packages_build $packages_check
  [ $full -eq 0 ] || packages_install $packages_check_full
  export IMGQ_SHARED=${IMGQ_SHARED:-$(readlink -f ../shared)}
  build release -DIMGQ_TESTS=ON -DIMGQ_WERROR=ON
  check_suite release build -LE 'emulated|alone'
  build dev
  check_suite address+undefined build-dev -LE 'oracle|release'
  build tsan
  if [ $full -eq 1 ]; then
    check_suite emulated build -L emulated
    check_suite alone build -L alone -j1
    check_suite thread build-tsan -LE 'release'
    check_fuzz 600
  else
    check_suite thread build-tsan -L tsan -LE 'oracle|release'
  fi
  say "$((SECONDS - started)) s in all"
  echo "$check_passed passed, $check_failed failed"
  [ $check_failed -eq 0 ]
}

# check_fuzz SECONDS: each target that long with libFuzzer; a finding is a failure
check_fuzz() {
  local target name
  build fuzz
  for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    say "$name for $1 s"
    mkdir -p "build-fuzz/corpus-$name"
    if "build-fuzz/fuzz/$name" -max_total_time="$1" "build-fuzz/corpus-$name" "tests/fuzz/corpus/$name" >"$work/$name.log" 2>&1; then
      check_passed=$((check_passed + 1))
    else
      tail -n 30 "$work/$name.log" >&2
      check_failed=$((check_failed + 1))
    fi
  done
}
