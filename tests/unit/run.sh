#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs unit test binaries one after the other and stops at the first that fails, showing what it
# said. The last line is "units: N passed, N failed", over all binaries that ran.
# KEEP_GOING=1 runs the rest too.
set -u

log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

passed=0
failed=0
for binary in "$@"; do
    timeout -k 5 "${UNIT_TIMEOUT:-180}" "$binary" >"$log" 2>&1
    status=$?
    # shellcheck disable=SC2046 # two numbers, or nothing when the binary died
    set -- $(sed -n 's/^counts: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    ok=${1:-$(grep -c '^\[       OK \]' "$log")}
    bad=${2:-$(($(grep -c '^\[  ERROR   \] ---' "$log") + 1))}
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # all tests passed and then something else failed: a leak, for one
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$status" -eq 0 ]; then
        printf '  ok      %s (%s)\n' "${binary#*/tests/}" "$ok"
        continue
    fi
    grep -v -e '^\[ RUN  ' -e '^\[       OK \]' "$log"
    case $status in
    124 | 137) why="no end after ${UNIT_TIMEOUT:-180} s" ;;
    *) why="exit status $status" ;;
    esac
    last=$(sed -n 's/^\[ RUN *\] //p' "$log" | tail -n 1)
    printf '  FAILED  %s (%s, last test started: %s)\n' "$binary" "$why" "$last"
    [ -n "${KEEP_GOING:-}" ] || break
done
printf 'units: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
