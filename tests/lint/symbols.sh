#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# symbols.sh ARCHIVE... - proves that no library object ends the process: only cmd/ may call exit.
# A failing assert goes through __assert_fail, which is allowed.
set -u

found=$(nm -A -u "$@" 2>/dev/null |
    sed -n -E 's/^[^:]*\/([a-z0-9]+)\.a:([^:]*):.* U (exit|_exit|_Exit|quick_exit|abort|err|errx)(@.*)?$/lint: lib\/\1: \2 calls \3(); only cmd\/ may/p')
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
