/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/terminal.h"

#include "search/language.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

enum {
    CELL_MAX = 1024,  /* characters of a cell that are looked at */
    NEEDLE_MAX = 256, /* likewise of a word */
    REPLACEMENT = 0xfffd,
};

#define MARK_ON "\033[1;31m"
#define MARK_OFF "\033[0m"

size_t cli_terminal_width(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return CLI_WIDTH_DEFAULT;
    return size.ws_col < CLI_WIDTH_MIN ? CLI_WIDTH_MIN : size.ws_col;
}

/* ---- characters ------------------------------------------------------------------------------ */

/* Takes one; what is no UTF-8 is an octet that becomes U+FFFD. */
static utf8proc_int32_t take_character(struct bytes *text)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t len = utf8proc_iterate(text->ptr, (utf8proc_ssize_t)text->len, &c);

    if (len <= 0) {
        c = REPLACEMENT;
        len = 1;
    }
    *text = bytes_slice(*text, (size_t)len, SIZE_MAX);
    return c;
}

static bool is_direction(utf8proc_int32_t c)
{
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* As it is shown on a line. */
static utf8proc_int32_t make_safe(utf8proc_int32_t c)
{
    if (c == '\t' || c == '\r' || c == '\n' || c == 0x2028 || c == 0x2029)
        return ' ';
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || is_direction(c))
        return '?';
    return c;
}

static size_t width_of(utf8proc_int32_t c)
{
    return (size_t)utf8proc_charwidth(c);
}

static void put_character(utf8proc_int32_t c, FILE *out)
{
    uint8_t octets[4];
    utf8proc_ssize_t len = utf8proc_encode_char(c, octets);

    (void)fwrite(octets, 1, (size_t)len, out);
}

void cli_put_line(struct bytes text, FILE *out)
{
    while (text.len > 0)
        put_character(make_safe(take_character(&text)), out);
}

void cli_print_text(struct bytes text)
{
    while (text.len > 0) {
        utf8proc_int32_t c = take_character(&text);

        if (c == '\r' && text.len > 0 && text.ptr[0] == '\n')
            continue;
        put_character(c == '\n' || c == '\t' ? c : make_safe(c), stdout);
    }
}

size_t cli_width(struct bytes text)
{
    size_t width = 0;

    while (text.len > 0)
        width += width_of(make_safe(take_character(&text)));
    return width;
}

/* ---- cells ------------------------------------------------------------------------------------ */

struct cell {
    utf8proc_int32_t characters[CELL_MAX];
    bool is_marked[CELL_MAX];
    size_t count;
    size_t width;
    bool is_cut; /* there was more */
};

static void read_cell(struct bytes text, struct cell *cell)
{
    while (text.len > 0 && cell->count < CELL_MAX) {
        utf8proc_int32_t c = make_safe(take_character(&text));

        cell->width += width_of(c);
        cell->characters[cell->count++] = c;
    }
    cell->is_cut = text.len > 0;
}

static size_t read_needle(struct bytes text, utf8proc_int32_t *out)
{
    size_t count = 0;

    while (text.len > 0 && count < NEEDLE_MAX)
        out[count++] = utf8proc_tolower(take_character(&text));
    return text.len == 0 ? count : 0;
}

static void mark_word(struct cell *cell, struct bytes word)
{
    utf8proc_int32_t needle[NEEDLE_MAX];
    size_t len = read_needle(word, needle);

    for (size_t i = 0; len > 0 && i + len <= cell->count; i++) {
        size_t same = 0;

        while (same < len && utf8proc_tolower(cell->characters[i + same]) == needle[same])
            same++;
        for (size_t k = 0; same == len && k < len; k++)
            cell->is_marked[i + k] = true;
    }
}

static void mark_words(struct cell *cell, const struct cli_marks *marks)
{
    for (size_t i = 0; marks != NULL && i < marks->count; i++) {
        if ((marks->kinds >> marks->words[i].kind & 1) != 0)
            mark_word(cell, marks->words[i].text);
    }
}

void cli_print_cell(struct bytes text, size_t width, const struct cli_marks *marks)
{
    struct cell cell = { .count = 0 };
    size_t used = 0;
    bool is_on = false;
    bool must_cut;

    if (width == 0) {
        cli_put_line(text, stdout);
        return;
    }
    read_cell(text, &cell);
    mark_words(&cell, marks);
    must_cut = cell.is_cut || cell.width > width;
    for (size_t i = 0; i < cell.count; i++) {
        size_t wide = width_of(cell.characters[i]);

        if (used + wide > width - (must_cut ? 1 : 0))
            break;
        if (cell.is_marked[i] != is_on) {
            is_on = !is_on;
            (void)fputs(is_on ? MARK_ON : MARK_OFF, stdout);
        }
        put_character(cell.characters[i], stdout);
        used += wide;
    }
    if (is_on)
        (void)fputs(MARK_OFF, stdout);
    if (must_cut) {
        put_character(0x2026, stdout);
        used++;
    }
    (void)printf("%*s", (int)(width - used), "");
}
