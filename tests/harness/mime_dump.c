/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/harness/mime_dump.c - what lib/mime and lib/imap make of messages, for comparison with a
 * server: test_mime_differential.py.
 *
 * Standard input: messages, each as its size in decimal, LF, its octets. Standard output, for each:
 * lines "name size" with the octets behind them for ENVELOPE, BODY, BODYSTRUCTURE and the BODY made
 * from that, "section name offset size" (or "absent"), "notes n", and "." at the end. One argument,
 * optional: octets per chunk that the parser is fed.
 */
#include "imap/section.h"
#include "imap/structure.h"
#include "mime/parser.h"
#include "mime/structure.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OUTPUT_MAX = 64 << 20,
    PATH_MAX_BYTES = 2048,
};

static struct arena *arena;

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "mime_dump: %s\n", why);
    exit(2);
}

static void print_blob(const char *name, const struct buf *buf)
{
    struct err err = { 0 };
    struct bytes octets;

    if (!buf_done(buf, &octets, &err))
        give_up(err.text);
    printf("%s %zu\n", name, octets.len);
    fwrite(octets.ptr, 1, octets.len, stdout);
    putchar('\n');
}

/* Through the grammar, so that the whole way of a FETCH is tried. */
static void print_section(const struct mime_part *root, const char *path, const char *text)
{
    char name[PATH_MAX_BYTES + 16];
    struct err err = { 0 };
    struct imap_section section = { 0 };
    struct imap_section_range range;
    struct bytes in;

    snprintf(name, sizeof name, "%s%s]", path, text);
    in = bytes_of_text(name);
    if (!imap_read_section(&in, arena, &section, &err))
        give_up(err.text);
    range = imap_find_section(root, &section);
    name[strlen(name) - 1] = '\0';
    if (range.is_absent)
        printf("section %s absent\n", name);
    else
        printf("section %s %ju %ju\n", name, (uintmax_t)range.offset, (uintmax_t)range.size_bytes);
    arena_reset(arena);
}

static void print_part(const struct mime_part *root, const struct mime_part *part,
                       const char *path);

/* The parts that numbers name within this one, and one beyond. */
static void print_within(const struct mime_part *root, const struct mime_part *part,
                         const char *path)
{
    const char *dot = path[0] == '\0' ? "" : ".";
    char below[PATH_MAX_BYTES];
    unsigned number = 0;

    if (part->depth >= MIME_NESTING_MAX - 1) /* IMAP_SECTION_PARTS_MAX numbers are enough */
        return;
    if (!part->is_multipart) {
        snprintf(below, sizeof below, "%s%s1", path, dot);
        if (part->depth == 0 || part->parent->is_message)
            print_part(root, part, below);
        number = 1;
    }
    for (const struct mime_part *child = part->is_multipart ? part->children : NULL; child != NULL;
         child = child->next) {
        snprintf(below, sizeof below, "%s%s%u", path, dot, ++number);
        print_part(root, child, below);
    }
    snprintf(below, sizeof below, "%s%s%u", path, dot, number + 1);
    print_section(root, below, "");
}

static void print_part(const struct mime_part *root, const struct mime_part *part, const char *path)
{
    print_section(root, path, "");
    print_section(root, path, ".MIME");
    print_section(root, path, ".HEADER");
    print_section(root, path, ".TEXT");
    if (part->is_message)
        print_within(root, part->children, path);
    else if (part->is_multipart)
        print_within(root, part, path);
}

static void print_message(const struct mime_part *root)
{
    struct buf buf = buf_create(OUTPUT_MAX);
    struct buf short_form = buf_create(OUTPUT_MAX);
    struct err err = { 0 };

    imap_write_envelope(&buf, root->envelope);
    print_blob("ENVELOPE", &buf);
    buf_reset(&buf, SIZE_MAX);
    imap_write_body(&buf, root);
    print_blob("BODY", &buf);
    buf_reset(&buf, SIZE_MAX);
    imap_write_bodystructure(&buf, root);
    print_blob("BODYSTRUCTURE", &buf);
    if (!imap_write_body_of_bodystructure(&short_form, buf_bytes(&buf), &err))
        give_up(err.text);
    print_blob("BODY-AGAIN", &short_form);
    print_section(root, "", "");
    print_section(root, "", "HEADER");
    print_section(root, "", "TEXT");
    print_within(root, root, "");
    buf_free(&buf);
    buf_free(&short_form);
}

/* The tree as it is stored must say the same. */
static void check_structure(const struct mime_part *root)
{
    struct buf first = buf_create(OUTPUT_MAX);
    struct buf second = buf_create(OUTPUT_MAX);
    struct err err = { 0 };
    const struct mime_part *again;

    mime_write_structure(&first, root);
    if (!mime_read_structure(buf_bytes(&first), arena, &again, &err))
        give_up(err.text);
    mime_write_structure(&second, again);
    if (!bytes_equal(buf_bytes(&first), buf_bytes(&second)))
        give_up("the structure is another after it was stored");
    printf("structure %zu\n", first.len);
    arena_reset(arena);
    buf_free(&first);
    buf_free(&second);
}

int main(int argc, char **argv)
{
    size_t chunk_bytes = argc > 1 ? strtoul(argv[1], NULL, 10) : SIZE_MAX;
    struct mime_parser *parser = mime_create_parser();
    char line[64];

    arena = arena_create(OUTPUT_MAX);
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t size = strtoul(line, NULL, 10);
        uint8_t *octets = malloc(size + 1);
        const struct mime_part *root;

        if (octets == NULL || fread(octets, 1, size, stdin) != size)
            give_up("message cut short");
        for (size_t at = 0; at < size; at += chunk_bytes < size - at ? chunk_bytes : size - at)
            mime_feed_parser(parser, bytes_slice(bytes_of(octets, size), at, chunk_bytes));
        root = mime_finish_parser(parser);
        print_message(root);
        check_structure(root);
        printf("notes %u\n.\n", mime_parser_notes(parser));
        fflush(stdout);
        mime_reset_parser(parser);
        free(octets);
    }
    mime_free_parser(&parser);
    arena_free(&arena);
    return 0;
}
