/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            "<"            letter, "/" letter            blank, "/"          "="
 *   TEXT ---------> OPEN ---------------------> NAME -------------> TAG <-----------> VALUE -- quote --> QUOTED
 *    | ^             | "!"                       ">" |           ">" |               ">" |                  |
 *    | |             v                               v               v                   v   (back to TAG) <+
 *    | +-- ">" -- DECLARATION -- "--" --> COMMENT    end_tag: TEXT, or RAW behind <script> and <style>
 *    v
 *  REFERENCE: behind "&"
 */
#include "text/html.h"

#include "text/internal.h"

enum state {
    IN_TEXT, /* 0: how a document starts */
    IN_OPEN,
    IN_END_OPEN, /* behind "</" */
    IN_NAME,
    IN_TAG,
    IN_VALUE, /* behind "=" */
    IN_QUOTED,
    IN_DECLARATION, /* behind "<!" */
    IN_DECLARATION_DASH,
    IN_COMMENT,
    IN_BOGUS, /* all up to ">" */
    IN_RAW,
    IN_REFERENCE,
};

static const struct bytes script_end = BYTES_INIT("</script");
static const struct bytes style_end = BYTES_INIT("</style");

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

/* ---- output -------------------------------------------------------------------------------- */

static void put(struct text_html *html, struct bytes text, struct buf *out)
{
    if (html->needs_space && html->has_text)
        buf_byte(out, ' ');
    html->needs_space = false;
    html->has_text = true;
    buf_append(out, text);
}

/* One character of several octets. */
static void put_character(struct text_html *html, struct bytes octets, struct buf *out)
{
    static const struct bytes unseen[] = {
        BYTES_INIT("\xc2\xad"),     /* soft hyphen */
        BYTES_INIT("\xe2\x80\x8b"), /* zero width space */
        BYTES_INIT("\xe2\x81\xa0"), /* word joiner */
        BYTES_INIT("\xef\xbb\xbf"), /* byte order mark */
    };

    if (bytes_equal(octets, BYTES("\xc2\xa0"))) {
        html->needs_space = true;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
        if (bytes_equal(octets, unseen[i]))
            return;
    put(html, octets, out);
}

static void put_code_point(struct text_html *html, uint32_t character, struct buf *out)
{
    uint8_t octets[4];
    size_t len = text_encode(character, octets);

    if (len == 1 && is_blank(octets[0]))
        html->needs_space = true;
    else if (len == 1)
        put(html, bytes_of(octets, 1), out);
    else
        put_character(html, bytes_of(octets, len), out);
}

/* ---- characters and references --------------------------------------------------------------- */

static void end_character(struct text_html *html, struct buf *out)
{
    if (html->character_len == 0)
        return;
    put_character(html, bytes_of(html->character, html->character_len), out);
    html->character_len = 0;
}

/* An octet from 0x80 on. */
static void take_high(struct text_html *html, uint8_t c, struct buf *out)
{
    uint8_t first;
    size_t len;

    if (c >= 0xc0)
        end_character(html, out);
    html->character[html->character_len++] = c;
    first = html->character[0];
    len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (html->character_len == len)
        end_character(html, out);
}

static uint32_t hex_value(uint8_t c)
{
    if (ascii_is_digit(c))
        return (uint32_t)(c - '0');
    return c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : UINT32_MAX;
}

/* "#65", "#x41"; what browsers make of numbers that are no characters (HTML Standard 13.2.5.80). */
static bool read_number(struct bytes digits, uint32_t *character)
{
    bool is_hex = digits.len > 1 && ascii_lower(digits.ptr[1]) == 'x';
    uint32_t base = is_hex ? 16 : 10;
    uint32_t value = 0;

    digits = bytes_slice(digits, is_hex ? 2 : 1, SIZE_MAX);
    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = ascii_lower(digits.ptr[i]);
        uint32_t digit = hex_value(c);

        if (digit >= base)
            return false;
        value = value > 0x10ffff ? value : value * base + digit;
    }
    if (value == 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        value = 0xfffd;
    *character = value;
    return true;
}

/* Numbers 128 to 159 mean windows-1252, as all browsers have it. */
static void put_1252(struct text_html *html, uint32_t character, struct buf *out)
{
    static const uint16_t high[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };

    put_code_point(html, high[character - 0x80], out);
}

/* What stands behind "&" is whole. is_closed: with ";". */
static void end_reference(struct text_html *html, bool is_closed, struct buf *out)
{
    struct bytes name = bytes_of(html->reference, html->reference_len);
    uint32_t character = 0;

    html->state = IN_TEXT;
    html->reference_len = 0;
    if (name.len > 0 && name.ptr[0] == '#') {
        if (!read_number(name, &character))
            character = 0;
    } else {
        character = text_find_entity(name);
    }
    if (character >= 0x80 && character < 0xa0 && name.ptr[0] == '#') {
        put_1252(html, character, out);
    } else if (character != 0) {
        put_code_point(html, character, out);
    } else {
        put(html, BYTES("&"), out);
        if (name.len > 0)
            put(html, name, out);
        if (is_closed)
            put(html, BYTES(";"), out);
    }
}

/* False: c does not belong to the reference, which has ended. */
static bool take_reference(struct text_html *html, uint8_t c, struct buf *out)
{
    bool may_follow =
        ascii_is_alpha(c) || ascii_is_digit(c) || (c == '#' && html->reference_len == 0);

    if (may_follow && html->reference_len < TEXT_HTML_REFERENCE_MAX) {
        html->reference[html->reference_len++] = c;
        return true;
    }
    end_reference(html, c == ';', out);
    return c == ';';
}

/* ---- markup ---------------------------------------------------------------------------------- */

/* Tags that may stand within a word. */
static bool is_inline(struct bytes name)
{
    static const struct bytes names[] = {
        BYTES_INIT("a"),      BYTES_INIT("abbr"),   BYTES_INIT("acronym"), BYTES_INIT("b"),
        BYTES_INIT("bdi"),    BYTES_INIT("bdo"),    BYTES_INIT("big"),     BYTES_INIT("cite"),
        BYTES_INIT("code"),   BYTES_INIT("del"),    BYTES_INIT("dfn"),     BYTES_INIT("em"),
        BYTES_INIT("font"),   BYTES_INIT("i"),      BYTES_INIT("ins"),     BYTES_INIT("kbd"),
        BYTES_INIT("label"),  BYTES_INIT("mark"),   BYTES_INIT("nobr"),    BYTES_INIT("q"),
        BYTES_INIT("s"),      BYTES_INIT("samp"),   BYTES_INIT("small"),   BYTES_INIT("span"),
        BYTES_INIT("strike"), BYTES_INIT("strong"), BYTES_INIT("sub"),     BYTES_INIT("sup"),
        BYTES_INIT("tt"),     BYTES_INIT("u"),      BYTES_INIT("var"),     BYTES_INIT("wbr"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal(name, names[i]))
            return true;
    return bytes_find_byte(name, ':') >= 0; /* Word's o:p, st1:place … */
}

static void start_tag(struct text_html *html, uint8_t c)
{
    html->state = IN_NAME;
    html->name[0] = ascii_lower(c);
    html->name_len = 1;
}

static void end_tag(struct text_html *html)
{
    struct bytes name = bytes_of(html->name, html->name_len);
    bool is_style = bytes_equal(name, BYTES("style"));

    if (!is_inline(name))
        html->needs_space = true;
    html->state = IN_TEXT;
    if (html->is_end_tag || (!is_style && !bytes_equal(name, BYTES("script"))))
        return;
    html->state = IN_RAW;
    html->is_raw_style = is_style;
    html->raw_matched = 0;
}

/* Of raw text, up to its end tag's name. */
static void take_raw(struct text_html *html, uint8_t c)
{
    struct bytes end = html->is_raw_style ? style_end : script_end;

    if (ascii_lower(c) != end.ptr[html->raw_matched])
        html->raw_matched = c == '<' ? 1 : 0;
    else if (++html->raw_matched == end.len)
        html->state = IN_TAG;
    html->is_end_tag = true;
}

static void take_name(struct text_html *html, uint8_t c)
{
    if (c == '>')
        end_tag(html);
    else if (is_blank(c) || c == '/')
        html->state = IN_TAG;
    else if (html->name_len < TEXT_HTML_NAME_MAX)
        html->name[html->name_len++] = ascii_lower(c);
}

static void take_comment(struct text_html *html, uint8_t c)
{
    if (c == '-') {
        html->dashes = html->dashes < 2 ? (uint8_t)(html->dashes + 1) : 2;
        return;
    }
    if (c == '>' && html->dashes == 2)
        html->state = IN_TEXT;
    if (c != '!' || html->dashes != 2) /* "--!>" ends one too */
        html->dashes = 0;
}

static void begin_comment(struct text_html *html)
{
    html->state = IN_COMMENT;
    html->dashes = 2; /* "<!-->" is a whole one */
}

/* Behind "<" or "</". False: it is no markup, and c is text. */
static bool take_open(struct text_html *html, uint8_t c, struct buf *out)
{
    bool is_end = html->state == IN_END_OPEN;

    html->is_end_tag = is_end;
    if (ascii_is_alpha(c)) {
        start_tag(html, c);
    } else if (is_end) {
        html->state = c == '>' ? IN_TEXT : IN_BOGUS;
    } else if (c == '/') {
        html->state = IN_END_OPEN;
    } else if (c == '!') {
        html->state = IN_DECLARATION;
    } else if (c == '?') {
        html->state = IN_BOGUS;
    } else {
        html->state = IN_TEXT;
        put(html, BYTES("<"), out);
        return false;
    }
    return true;
}

static void take_markup(struct text_html *html, uint8_t c)
{
    enum state state = (enum state)html->state;

    if (state == IN_QUOTED) {
        if (c == html->quote)
            html->state = IN_TAG;
    } else if (state == IN_DECLARATION || state == IN_DECLARATION_DASH) {
        if (c == '-' && state == IN_DECLARATION_DASH)
            begin_comment(html);
        else
            html->state = c == '>'                              ? IN_TEXT
                          : c == '-' && state == IN_DECLARATION ? IN_DECLARATION_DASH
                                                                : IN_BOGUS;
    } else if (state == IN_BOGUS) {
        if (c == '>')
            html->state = IN_TEXT;
    } else if (c == '>') {
        end_tag(html);
    } else if (state == IN_VALUE && (c == '"' || c == '\'')) {
        html->state = IN_QUOTED;
        html->quote = c;
    } else if (c == '=') {
        html->state = IN_VALUE;
    } else if (!is_blank(c)) {
        html->state = IN_TAG;
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Takes from the front what needs no look at each octet; the octet behind it does. */
static void take_run(struct text_html *html, struct bytes *chunk, struct buf *out)
{
    size_t len = 0;

    if (html->state == IN_TEXT && html->character_len == 0) {
        while (len < chunk->len && chunk->ptr[len] > ' ' && chunk->ptr[len] < 0x80 &&
               chunk->ptr[len] != '<' && chunk->ptr[len] != '&')
            len++;
        if (len > 0)
            put(html, bytes_slice(*chunk, 0, len), out);
    } else if (html->state == IN_QUOTED || (html->state == IN_RAW && html->raw_matched == 0)) {
        ssize_t at = bytes_find_byte(*chunk, html->state == IN_QUOTED ? html->quote : '<');

        len = at < 0 ? chunk->len : (size_t)at;
    }
    *chunk = bytes_slice(*chunk, len, SIZE_MAX);
}

static void take_text(struct text_html *html, uint8_t c, struct buf *out)
{
    if (c >= 0x80) {
        take_high(html, c, out);
        return;
    }
    end_character(html, out);
    if (c == '<')
        html->state = IN_OPEN;
    else if (c == '&')
        html->state = IN_REFERENCE;
    else if (is_blank(c))
        html->needs_space = true;
    else
        put(html, bytes_of(&c, 1), out);
}

static void take(struct text_html *html, uint8_t c, struct buf *out)
{
    switch ((enum state)html->state) {
    case IN_REFERENCE:
        if (!take_reference(html, c, out))
            take_text(html, c, out);
        return;
    case IN_OPEN:
    case IN_END_OPEN:
        if (!take_open(html, c, out))
            take_text(html, c, out);
        return;
    case IN_TEXT:
        take_text(html, c, out);
        return;
    case IN_NAME:
        take_name(html, c);
        return;
    case IN_COMMENT:
        take_comment(html, c);
        return;
    case IN_RAW:
        take_raw(html, c);
        return;
    case IN_TAG:
    case IN_VALUE:
    case IN_QUOTED:
    case IN_DECLARATION:
    case IN_DECLARATION_DASH:
    case IN_BOGUS:
        take_markup(html, c);
        return;
    }
    UNREACHABLE();
}

void text_render_html(struct text_html *html, struct bytes chunk, struct buf *out)
{
    while (chunk.len > 0) {
        take_run(html, &chunk, out);
        if (chunk.len == 0)
            return;
        take(html, chunk.ptr[0], out);
        chunk = bytes_slice(chunk, 1, SIZE_MAX);
    }
}

void text_finish_html(struct text_html *html, struct buf *out)
{
    end_character(html, out);
    if (html->state == IN_REFERENCE)
        end_reference(html, false, out);
    else if (html->state == IN_OPEN)
        put(html, BYTES("<"), out);
    *html = (struct text_html){ 0 };
}
