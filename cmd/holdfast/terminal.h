/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/terminal.h - text of mail on a terminal: it cannot steer it, and it keeps to its column.
 *
 * Text is UTF-8; what is not, and every control character, is shown as a sign: nothing that a message
 * holds reaches a terminal as a control. Direction marks (U+202E and their kin) are controls too.
 */
#pragma once

#include "base/bytes.h"

#include <stdio.h>

struct search_word;

enum {
    CLI_WIDTH_DEFAULT = 80,
    CLI_WIDTH_MIN = 60,
};

/* Columns of standard output; 0: it is no terminal. */
size_t cli_terminal_width(void);

/* How many columns the text takes when it is printed on one line. */
size_t cli_width(struct bytes text);

/* What to highlight: of these words those whose kind has its bit (1 << IMAP_SEARCH_…) in kinds. */
struct cli_marks {
    const struct search_word *words;
    size_t count;
    uint32_t kinds;
};

/*
 * Prints the text on one line, in exactly `width` columns: cut ("…") or padded. width 0: as it is,
 * without highlighting. marks may be NULL.
 */
void cli_print_cell(struct bytes text, size_t width, const struct cli_marks *marks);

/* Prints text that is part of a line, and no line of its own: LF and TAB become blanks. */
void cli_put_line(struct bytes text, FILE *out);

/* Prints text of several lines: LF and TAB stay. */
void cli_print_text(struct bytes text);
