/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structure = %x01 part
 * part      = flags gap header-bytes body-bytes header-lines body-lines content child-count *part
 * gap       = octets between the end of the part before (or the start of the parent's body) and this
 * content   = fields, then the value of each field whose bit is set, in the order of the bits
 * value     = length *OCTET; lists: count, then the values
 *
 * All numbers are unsigned LEB128 in their shortest form.
 */
#include "mime/structure.h"

#include "base/checked.h"

enum {
    VERSION = 1
};

enum {
    IS_MULTIPART = 1 << 0,
    IS_DIGEST = 1 << 1,
    IS_MESSAGE = 1 << 2,
    IS_OPAQUE = 1 << 3,
    IS_MIME = 1 << 4,
    ALL_FLAGS = (1 << 5) - 1,
};

enum {
    HAS_TYPE = 1 << 0,
    HAS_PARAMS = 1 << 1,
    HAS_DISPOSITION = 1 << 2,
    HAS_DISPOSITION_PARAMS = 1 << 3,
    HAS_ID = 1 << 4,
    HAS_DESCRIPTION = 1 << 5,
    HAS_LOCATION = 1 << 6,
    HAS_MD5 = 1 << 7,
    HAS_ENCODING = 1 << 8,
    HAS_LANGUAGES = 1 << 9,
    ALL_FIELDS = (1 << 10) - 1,
};

static void write_number(struct buf *buf, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        buf_byte(buf, (uint8_t)(n | 0x80));
    buf_byte(buf, (uint8_t)n);
}

static void write_value(struct buf *buf, struct bytes value)
{
    write_number(buf, value.len);
    buf_append(buf, value);
}

static void write_text(struct buf *buf, const struct bytes *value)
{
    if (value != NULL)
        write_value(buf, *value);
}

static void write_params(struct buf *buf, const struct mime_param *params, size_t count)
{
    if (count > 0)
        write_number(buf, count);
    for (size_t i = 0; i < count; i++) {
        write_value(buf, params[i].name);
        write_value(buf, params[i].value);
    }
}

static unsigned bit(bool is_set, unsigned flag)
{
    return is_set ? flag : 0;
}

static void write_content(struct buf *buf, const struct mime_content *content)
{
    write_number(
        buf, bit(content->type != NULL, HAS_TYPE) | bit(content->param_count > 0, HAS_PARAMS) |
                 bit(content->disposition != NULL, HAS_DISPOSITION) |
                 bit(content->disposition_param_count > 0, HAS_DISPOSITION_PARAMS) |
                 bit(content->id != NULL, HAS_ID) |
                 bit(content->description != NULL, HAS_DESCRIPTION) |
                 bit(content->location != NULL, HAS_LOCATION) | bit(content->md5 != NULL, HAS_MD5) |
                 bit(content->encoding != NULL, HAS_ENCODING) |
                 bit(content->language_count > 0, HAS_LANGUAGES));
    write_text(buf, content->type);
    if (content->type != NULL)
        write_value(buf, content->subtype);
    write_params(buf, content->params, content->param_count);
    write_text(buf, content->disposition);
    write_params(buf, content->disposition_params, content->disposition_param_count);
    write_text(buf, content->id);
    write_text(buf, content->description);
    write_text(buf, content->location);
    write_text(buf, content->md5);
    write_text(buf, content->encoding);
    if (content->language_count > 0)
        write_number(buf, content->language_count);
    for (size_t i = 0; i < content->language_count; i++)
        write_value(buf, content->languages[i]);
}

/* after: end of what lies before the part, within its parent. Returns the part's own end. */
static uint64_t write_part(struct buf *buf, const struct mime_part *part, uint64_t after)
{
    uint64_t end = mime_body_offset(part);

    write_number(buf, bit(part->is_multipart, IS_MULTIPART) | bit(part->is_digest, IS_DIGEST) |
                          bit(part->is_message, IS_MESSAGE) | bit(part->is_opaque, IS_OPAQUE) |
                          bit(part->is_mime, IS_MIME));
    write_number(buf, part->header_offset - after);
    write_number(buf, part->header_bytes);
    write_number(buf, part->body_bytes);
    write_number(buf, part->header_lines);
    write_number(buf, part->body_lines);
    write_content(buf, &part->content);
    write_number(buf, part->child_count);
    for (const struct mime_part *child = part->children; child != NULL; child = child->next)
        end = write_part(buf, child, end);
    return mime_body_offset(part) + part->body_bytes;
}

void mime_write_structure(struct buf *buf, const struct mime_part *root)
{
    buf_byte(buf, VERSION);
    (void)write_part(buf, root, 0);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* The first failure stays; readers then give zeros, so that callers need not look at each. */
struct reader {
    struct bytes in;
    struct arena *arena;
    uint32_t part_count;
    bool has_failed;
    struct err *err;
};

static bool fail(struct reader *r, const char *what)
{
    if (!r->has_failed)
        err_fail(r->err, ERR_CORRUPT, "stored structure: %s", what);
    r->has_failed = true;
    return false;
}

static uint64_t read_number(struct reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; !r->has_failed; shift += 7) {
        uint8_t c;

        if (r->in.len == 0 || shift > 63)
            break;
        c = r->in.ptr[0];
        r->in = bytes_slice(r->in, 1, SIZE_MAX);
        if ((shift == 63 && c > 1) || (c == 0 && shift > 0))
            break;
        n |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return n;
    }
    fail(r, "number expected");
    return 0;
}

static struct bytes read_value(struct reader *r)
{
    uint64_t len = read_number(r);
    struct bytes value = { 0 };

    if (!r->has_failed && (len > r->in.len || !scan_octets(&r->in, (size_t)len, &value)))
        fail(r, "value cut short");
    return value;
}

static void *allocate(struct reader *r, size_t count, size_t item_size)
{
    void *room = NULL;

    if (!r->has_failed && !arena_try_alloc(r->arena, count, item_size, &room, r->err))
        r->has_failed = true;
    return r->has_failed ? NULL : room;
}

static const struct bytes *read_text(struct reader *r)
{
    struct bytes value = read_value(r);
    struct bytes *room = allocate(r, 1, sizeof *room);

    if (room != NULL)
        *room = value;
    return room;
}

static size_t read_count(struct reader *r, uint64_t max)
{
    uint64_t count = read_number(r);

    if (!r->has_failed && (count == 0 || count > max || count > r->in.len))
        fail(r, "count out of range");
    return r->has_failed ? 0 : (size_t)count;
}

static const struct mime_param *read_params(struct reader *r, size_t *out)
{
    size_t count = read_count(r, MIME_PARAMS_MAX);
    struct mime_param *params = allocate(r, count, sizeof *params);

    for (size_t i = 0; i < count && !r->has_failed; i++) {
        params[i].name = read_value(r);
        params[i].value = read_value(r);
    }
    if (!r->has_failed)
        *out = count;
    return params;
}

static void read_languages(struct reader *r, struct mime_content *content)
{
    size_t count = read_count(r, MIME_LANGUAGES_MAX);
    struct bytes *languages = allocate(r, count, sizeof *languages);

    for (size_t i = 0; i < count && !r->has_failed; i++)
        languages[i] = read_value(r);
    content->languages = languages;
    content->language_count = r->has_failed ? 0 : count;
}

static void read_content(struct reader *r, struct mime_content *content)
{
    uint64_t has = read_number(r);

    if ((has & ~(uint64_t)ALL_FIELDS) != 0)
        fail(r, "unknown field");
    if (has & HAS_TYPE) {
        content->type = read_text(r);
        content->subtype = read_value(r);
    }
    if (has & HAS_PARAMS)
        content->params = read_params(r, &content->param_count);
    if (has & HAS_DISPOSITION)
        content->disposition = read_text(r);
    if (has & HAS_DISPOSITION_PARAMS)
        content->disposition_params = read_params(r, &content->disposition_param_count);
    if (has & HAS_ID)
        content->id = read_text(r);
    if (has & HAS_DESCRIPTION)
        content->description = read_text(r);
    if (has & HAS_LOCATION)
        content->location = read_text(r);
    if (has & HAS_MD5)
        content->md5 = read_text(r);
    if (has & HAS_ENCODING)
        content->encoding = read_text(r);
    if (has & HAS_LANGUAGES)
        read_languages(r, content);
}

/* Sizes: header and body must fit between after and end. */
static bool read_place(struct reader *r, struct mime_part *part, uint64_t after, uint64_t end)
{
    uint64_t flags = read_number(r);
    uint64_t gap = read_number(r);

    part->header_bytes = read_number(r);
    part->body_bytes = read_number(r);
    part->header_lines = read_number(r);
    part->body_lines = read_number(r);
    part->is_multipart = (flags & IS_MULTIPART) != 0;
    part->is_digest = (flags & IS_DIGEST) != 0;
    part->is_message = (flags & IS_MESSAGE) != 0;
    part->is_opaque = (flags & IS_OPAQUE) != 0;
    part->is_mime = (flags & IS_MIME) != 0;
    if (r->has_failed)
        return false;
    if (gap > end - after || part->header_bytes > end - after - gap ||
        part->body_bytes > end - after - gap - part->header_bytes)
        return fail(r, "part outside of its parent");
    if ((flags & ~(uint64_t)ALL_FLAGS) != 0 ||
        part->is_multipart + part->is_message + part->is_opaque > 1 ||
        (part->is_digest && !part->is_multipart) || part->header_lines > part->header_bytes ||
        part->body_lines > part->body_bytes)
        return fail(r, "impossible part");
    part->header_offset = after + gap;
    return true;
}

static struct mime_part *read_part(struct reader *r, struct mime_part *parent, uint64_t after,
                                   uint64_t end)
{
    struct mime_part *part = allocate(r, 1, sizeof *part);
    uint64_t child_count;

    if (part == NULL)
        return NULL;
    if (parent != NULL && parent->depth + 1 >= MIME_NESTING_MAX) {
        fail(r, "nested too deeply");
        return NULL;
    }
    part->parent = parent;
    part->depth = parent == NULL ? 0 : parent->depth + 1;
    if (++r->part_count > MIME_PARTS_MAX)
        fail(r, "too many parts");
    if (!read_place(r, part, after, end))
        return NULL;
    read_content(r, &part->content);
    child_count = read_number(r);
    if ((part->is_message && child_count != 1) ||
        (child_count > 0 && !part->is_message && !part->is_multipart) ||
        child_count > MIME_PARTS_MAX)
        fail(r, "impossible children");
    after = mime_body_offset(part);
    end = after + part->body_bytes;
    while (!r->has_failed && part->child_count < child_count) {
        struct mime_part *child = read_part(r, part, after, end);

        if (child == NULL)
            return NULL;
        if (part->last_child == NULL)
            part->children = child;
        else
            part->last_child->next = child;
        part->last_child = child;
        part->child_count++;
        after = mime_body_offset(child) + child->body_bytes;
    }
    return r->has_failed ? NULL : part;
}

bool mime_read_structure(struct bytes stored, struct arena *arena, const struct mime_part **out,
                         struct err *err)
{
    struct reader r = { .in = stored, .arena = arena, .err = err };
    const struct mime_part *root;

    if (!scan_byte(&r.in, VERSION))
        return fail(&r, "of another version");
    root = read_part(&r, NULL, 0, UINT64_MAX);
    if (!r.has_failed && r.in.len > 0)
        fail(&r, "something follows");
    if (r.has_failed)
        return false;
    *out = root;
    return true;
}
