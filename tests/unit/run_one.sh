#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_one.sh RESULTS BINARY: runs one, appends "PASSED FAILED" to RESULTS, prints all at once.
set -u
results=$1
binary=$2

log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

timeout -k 5 "${UNIT_TIMEOUT:-180}" "$binary" >"$log" 2>&1
status=$?
# shellcheck disable=SC2046 # two numbers, or nothing when the binary died
set -- $(sed -n 's/^counts: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
ok=${1:-$(grep -c '^\[       OK \]' "$log")}
bad=${2:-$(($(grep -c '^\[  ERROR   \] ---' "$log") + 1))}
if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    bad=1 # all tests passed and then something else failed: a leak, for one
fi
echo "$ok $bad" >>"$results"
if [ "$status" -eq 0 ]; then
    printf '  ok      %s (%s)\n' "${binary#*/tests/}" "$ok"
    grep '^SKIP' "$log"
    exit 0
fi
case $status in
124 | 137) why="no end after ${UNIT_TIMEOUT:-180} s" ;;
*) why="exit status $status" ;;
esac
last=$(sed -n 's/^\[ RUN *\] //p' "$log" | tail -n 1)
printf '%s\n  FAILED  %s (%s, last test started: %s)\n' \
    "$(grep -v -e '^\[ RUN  ' -e '^\[       OK \]' "$log")" "$binary" "$why" "$last"
