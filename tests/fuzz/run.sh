#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh DIR SECONDS NAME... - runs DIR/NAME_fuzz for SECONDS each, one process per processor.
# tests/fuzz/NAME/ seeds it, tests/fuzz/NAME.dict helps it; what it finds worth keeping goes to
# DIR/NAME.corpus and what breaks it to DIR/NAME.crash-*. Stops at the first target that breaks.
set -eu

dir=$1
seconds=$2
shift 2
here=$(dirname "$0")
jobs=$(nproc 2>/dev/null || echo 2)

for name in "$@"; do
    mkdir -p "$dir/$name.corpus"
    echo "  FUZZ    $name, $seconds s"
    set -- "$dir/$name.corpus"
    [ ! -d "$here/$name" ] || set -- "$@" "$here/$name"
    [ ! -f "$here/$name.dict" ] || set -- "$@" "-dict=$here/$name.dict"
    log=$dir/$name.log
    if ! "$dir/${name}_fuzz" "$@" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -fork="$jobs" -artifact_prefix="$dir/$name." >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz: $name broke; the input is $dir/$name.crash-* (or .timeout-, .oom-)"
        exit 1
    fi
    tail -n 1 "$log"
done
