#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs unit test binaries, two at a time (UNIT_JOBS), each with what it said if it fails. The last
# line is "units: N passed, N failed".
set -u

results=$(mktemp) || exit 2
trap 'rm -f "$results"' EXIT

printf '%s\n' "$@" | xargs -P "${UNIT_JOBS:-2}" -n 1 "$(dirname "$0")/run_one.sh" "$results"
awk '{ passed += $1; failed += $2 }
     END { printf "units: %d passed, %d failed\n", passed, failed; exit failed > 0 || NR == 0 }' "$results"
