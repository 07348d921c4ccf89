/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/program.h - Holdfast's other programs, found beside the one that runs.
 *
 * They may lie in a folder that the archive's user cannot enter (a clone under root's home), so they
 * are opened before operate_settle and started by descriptor.
 */
#pragma once

#include "base/err.h"

enum operate_program {
    OPERATE_HOLDFASTD,
    OPERATE_GATE,
    OPERATE_KEEPER,
    OPERATE_INGEST,
    OPERATE_IMAPD,
    OPERATE_WATCH,
};
enum {
    OPERATE_PROGRAM_COUNT = OPERATE_WATCH + 1
};

struct operate_programs {
    int fds[OPERATE_PROGRAM_COUNT]; /* O_PATH, close-on-exec; -1: not asked for */
};

#define OPERATE_NO_PROGRAMS ((struct operate_programs){ { -1, -1, -1, -1, -1, -1 } })

/* Opens those whose bit (1u << program) is in wanted. ERR_ABSENT names the file that is missing. */
MUST_USE bool operate_open_programs(unsigned wanted, struct operate_programs *out, struct err *err);
void operate_close_programs(struct operate_programs *programs);

/* The bits of the programs that these services (operate/lock.h) need. */
unsigned operate_programs_of(unsigned services);

/*
 * A holdfast that was root hands the programs it opened to its holdfastd, which is root no more:
 * as text ("-1,5,6,7,-1,-1", the order of the enum), and with operate_pass_programs in the child.
 */
enum {
    OPERATE_PROGRAMS_TEXT_BYTES = 64
};
void operate_write_programs(const struct operate_programs *programs,
                            char text[OPERATE_PROGRAMS_TEXT_BYTES]);
void operate_pass_programs(const struct operate_programs *programs);
MUST_USE bool operate_adopt_programs(const char *text, struct operate_programs *out,
                                     struct err *err);

/* "holdfast-gate" */
const char *operate_program_name(enum operate_program program);

/* Becomes the program, in a child after fork. Returns only when it could not, errno then says why. */
void operate_exec(const struct operate_programs *programs, enum operate_program program,
                  char *const argv[]);
