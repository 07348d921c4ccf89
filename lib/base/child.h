/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/child.h - the end of a forked child that could not become its program.
 */
#pragma once

/* Ends this process at once, with nothing flushed or run. By SIGKILL: no library calls exit, not even
 * between fork and exec, and the build proves it (tests/lint/symbols.sh). */
_Noreturn void child_give_up(void);
