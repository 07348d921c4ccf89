/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/html.c - what of libxml2's SAX events is shown, and how much of libxml2 a document may use.
 *
 *   source --> libxml2 --> start, end of elements --> borders, what is hidden, limits
 *                    +---> text ----------------------------------------------------> rendered
 */
#include "text/html.h"

#include "text/internal.h"

#include <libxml/HTMLparser.h>
#include <libxml/dict.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    /* libxml2 gets the source in blocks of this size: it reads some broken declarations differently
     * when they come in pieces, and the same document shall always give the same text. */
    BLOCK_BYTES = 16 << 10,
    LANE_BYTES = 16, /* of text, looked at together: compilers make vectors of it */
    LONG_TEXT_BYTES = 64,
    /* A charset in <meta> is ignored: the source was decoded before. */
    PARSE_OPTIONS = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                    HTML_PARSE_NONET | HTML_PARSE_NOIMPLIED | HTML_PARSE_IGNORE_ENC,
};

/* Around each document: libxml2 reads nothing behind the end of the outermost element, and mailing lists
 * put their footers behind </html>. */
static const struct bytes root = BYTES_INIT("<holdfast:document>");

struct text_html {
    htmlParserCtxtPtr parser; /* NULL: the document has not begun */
    struct buf *out;          /* of the call */
    size_t rendered_max;
    size_t rendered; /* octets so far */
    size_t depth;
    size_t hidden;    /* elements that are open and not shown */
    bool has_text;    /* something was written */
    bool needs_space; /* before what is written next */
    bool has_stopped;
    bool is_ending; /* all elements are about to end */
    size_t block_len;
    uint8_t block[BLOCK_BYTES]; /* the next one, so far */
};

/* ---- output -------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static void put(struct text_html *html, struct bytes text)
{
    bool is_behind = html->needs_space && html->has_text;

    if (text.len + is_behind > html->rendered_max - html->rendered)
        html->has_stopped = true;
    if (html->has_stopped)
        return;
    if (is_behind)
        buf_byte(html->out, ' ');
    buf_append(html->out, text);
    html->rendered += text.len + is_behind;
    html->needs_space = false;
    html->has_text = true;
}

/* Numbers 128 to 159 in references mean windows-1252 (HTML Standard 13.2.5.80). */
static void put_1252(struct text_html *html, uint32_t character)
{
    static const uint16_t high[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };
    uint8_t octets[4];

    put(html, bytes_of(octets, text_encode(high[character - 0x80], octets)));
}

/* Those that are not, put_character knows. */
static bool is_shown_as_it_is(uint32_t character)
{
    return character > 0xa0 && character != 0xad && character != 0x200b && character != 0x2060 &&
           character != 0xfeff;
}

/* One character of several octets. */
static void put_character(struct text_html *html, uint32_t character, struct bytes octets)
{
    switch (character) {
    case 0xa0:
        html->needs_space = true;
        return;
    case 0xad:   /* soft hyphen */
    case 0x200b: /* zero width space */
    case 0x2060: /* word joiner */
    case 0xfeff: /* byte order mark */
        return;
    default:
        if (character >= 0x80 && character < 0xa0)
            put_1252(html, character);
        else
            put(html, octets);
    }
}

/* ---- what libxml2 says ------------------------------------------------------------------------ */

static bool is_among(struct bytes name, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (name.len == names[i].len && memcmp(name.ptr, names[i].ptr, name.len) == 0)
            return true;
    return false;
}

/* Elements that may begin and end within a word. */
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

    return is_among(name, names, ARRAY_LEN(names)) ||
           bytes_find_byte(name, ':') >= 0; /* Word's o:p, st1:place … */
}

static bool is_hidden(struct bytes name)
{
    static const struct bytes names[] = { BYTES_INIT("script"), BYTES_INIT("style"),
                                          BYTES_INIT("template") };

    return is_among(name, names, ARRAY_LEN(names));
}

static void hear_start(void *context, const xmlChar *octets, const xmlChar **attributes)
{
    struct text_html *html = context;
    struct bytes name = bytes_of_text((const char *)octets);
    xmlDictPtr names = html->parser->dict;

    (void)attributes;
    if (!is_inline(name))
        html->needs_space = true;
    if (is_hidden(name))
        html->hidden++;
    if (++html->depth > TEXT_HTML_DEPTH_MAX || xmlDictSize(names) > TEXT_HTML_NAMES_MAX ||
        xmlDictGetUsage(names) > TEXT_HTML_NAME_BYTES_MAX)
        html->has_stopped = true;
}

static void hear_end(void *context, const xmlChar *octets)
{
    struct text_html *html = context;
    struct bytes name = bytes_of_text((const char *)octets);

    if (!is_inline(name))
        html->needs_space = true;
    if (is_hidden(name) && html->hidden > 0)
        html->hidden--;
    if (html->depth > 0)
        html->depth--;
    if (html->depth == 0 && !html->is_ending)
        html->has_stopped = true; /* the end of the root, in a document */
}

static uint8_t is_word_octet(uint8_t c)
{
    return (uint8_t)(c - '!') <= '~' - '!';
}

/* Are they all shown as they are: of words, or single blanks between words? The octets on either side
 * are looked at too. */
static bool is_lane_of_words(const uint8_t *octets)
{
    const uint8_t *before = octets - 1, *behind = octets + 1;
    uint8_t is_other = 0;

    for (size_t i = 0; i < LANE_BYTES; i++) {
        uint8_t is_between =
            (octets[i] == ' ') & is_word_octet(before[i]) & is_word_octet(behind[i]);

        is_other |= (is_word_octet(octets[i]) | is_between) ^ 1;
    }
    return is_other == 0;
}

/* Is the blank at this place one that is shown as it is, between words? */
static bool is_single_blank(struct bytes text, size_t at)
{
    return text.ptr[at] == ' ' && at > 0 && text.ptr[at - 1] != ' ' && at + 1 < text.len &&
           text.ptr[at + 1] < 0x80 && !is_blank(text.ptr[at + 1]);
}

/* Of the words at the front and single blanks between them, which are all shown as they are. */
static size_t words_length(struct bytes text)
{
    size_t len = 0;

    while (len < text.len) {
        uint32_t character = 0;
        size_t step = 1;
        bool is_shown;

        if (text.ptr[len] < 0x80)
            is_shown = !is_blank(text.ptr[len]) || is_single_blank(text, len);
        else
            is_shown = text_read_character(bytes_slice(text, len, 4), &character, &step) &&
                       is_shown_as_it_is(character);
        if (!is_shown)
            break;
        len += step;
        while (len + LANE_BYTES < text.len && is_lane_of_words(text.ptr + len))
            len += LANE_BYTES;
    }
    return len;
}

static void hear_text(void *context, const xmlChar *octets, int len)
{
    struct text_html *html = context;
    struct bytes rest = bytes_of(octets, (size_t)len);

    if (html->hidden > 0)
        return;
    while (rest.len > 0 && !html->has_stopped) {
        uint32_t character = 0;
        size_t run = words_length(rest);

        if (run > 0) {
            put(html, bytes_slice(rest, 0, run));
        } else if (rest.ptr[0] < 0x80) {
            html->needs_space = true;
            run = 1;
        } else if (text_read_character(rest, &character, &run)) {
            put_character(html, character, bytes_slice(rest, 0, run));
        } else {
            run = 1; /* not UTF-8: libxml2 gives none */
        }
        rest = bytes_slice(rest, run, SIZE_MAX);
    }
}

/* ---- the parser ------------------------------------------------------------------------------- */

static void parse(struct text_html *html, struct bytes source)
{
    (void)htmlParseChunk(html->parser, (const char *)source.ptr, (int)source.len, html->is_ending);
    if (html->parser->disableSAX != 0 || html->parser->errNo == XML_ERR_NO_MEMORY)
        html->has_stopped = true;
}

static void begin(struct text_html *html)
{
    htmlSAXHandler handler = {
        .startElement = hear_start,
        .endElement = hear_end,
        .characters = hear_text,
        .ignorableWhitespace = hear_text,
        .initialized = 1,
    };

    html->parser = htmlCreatePushParserCtxt(&handler, html, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    assert(html->parser != NULL);
    (void)htmlCtxtUseOptions(html->parser, PARSE_OPTIONS);
    /* Each attribute of a tag is compared with those before it: the names are few. */
    (void)xmlDictSetLimit(html->parser->dict, TEXT_HTML_NAME_BYTES_MAX);
    parse(html, root);
}

/* What libxml2 holds back, as it may be cut, comes. What it then leaves, but for a last '<', stands behind the
 * end of the root. */
static void end(struct text_html *html)
{
    html->is_ending = true;
    parse(html, bytes_of(NULL, 0));
    if (html->parser->input->end - html->parser->input->cur > 1)
        html->has_stopped = true;
}

/* ---- text that libxml2 need not see ------------------------------------------------------------ */

/* Did libxml2 read all that it got, and is it between the tags of an element that may hold text? (In html
 * and head, text begins a paragraph.) What comes next and is no markup is then text, as it stands. */
static bool is_between_tags(const struct text_html *html)
{
    const struct _xmlParserCtxt *parser = html->parser;
    const char *name = (const char *)parser->name;

    return parser->instate == XML_PARSER_CONTENT && parser->input->cur == parser->input->end &&
           parser->token == 0 && name != NULL && strcmp(name, "html") != 0 &&
           strcmp(name, "head") != 0;
}

/* Neither markup nor what libxml2 leaves out: controls, and U+FFFE and U+FFFF, which begin with 0xef. */
static bool is_lane_of_text(const uint8_t *octets)
{
    uint8_t is_other = 0;

    for (size_t i = 0; i < LANE_BYTES; i++) {
        uint8_t c = octets[i];

        is_other |= (uint8_t)(c == '<') | (uint8_t)(c == '&') | (uint8_t)(c == 0xef) |
                    ((uint8_t)(c < ' ') & (uint8_t)(c != '\r') & (uint8_t)(c != '\n'));
    }
    return is_other == 0;
}

/* How much of the source is text: whole characters, and not the last octets before what is none. Two stay at
 * least: libxml2 drops a '<' or '&' that is all it still has when the document ends. */
static size_t text_length(struct bytes source)
{
    size_t len = 0;

    while (len + LANE_BYTES + 1 < source.len && is_lane_of_text(source.ptr + len))
        len += LANE_BYTES;
    while (len > 0 && (source.ptr[len] & 0xc0) == 0x80)
        len--;
    return len;
}

/* Is it worth a call of libxml2 for what stands before it alone? */
static bool is_long_text(struct bytes source)
{
    for (size_t at = 0; at < LONG_TEXT_BYTES; at += LANE_BYTES)
        if (at + LANE_BYTES >= source.len || !is_lane_of_text(source.ptr + at))
            return false;
    return true;
}

/* Does it end with a whole tag? In a value that is open, '>' ends none; and libxml2 would not remember, from
 * one piece to the next, that it was open. */
static bool ends_with_tag(struct bytes source)
{
    bool is_quoted = false, is_double_quoted = false;

    for (size_t at = source.len - 1; at-- > 0;) {
        uint8_t c = source.ptr[at];

        if ((c == '<' || c == '>') && !is_quoted && !is_double_quoted)
            return c == '<';
        is_quoted ^= c == '\'';
        is_double_quoted ^= c == '"';
    }
    return false;
}

/* The first tag with a long text behind it: where that text stands. */
static bool find_long_text(struct bytes source, size_t *at, size_t *len)
{
    ssize_t end;

    for (*at = 0; (end = bytes_find_byte(bytes_slice(source, *at, SIZE_MAX), '>')) >= 0;) {
        *at += (size_t)end + 1;
        if (is_long_text(bytes_slice(source, *at, SIZE_MAX)) &&
            ends_with_tag(bytes_slice(source, 0, *at))) {
            *len = text_length(bytes_slice(source, *at, SIZE_MAX));
            return true;
        }
    }
    return false;
}

/*
 * libxml2 reads text character by character, which takes most of its time. Long texts between tags go past
 * it: they would come back from it as they are.
 */
static void parse_source(struct text_html *html, struct bytes source)
{
    size_t at, len;

    while (!html->has_stopped && find_long_text(source, &at, &len)) {
        parse(html, bytes_slice(source, 0, at));
        if (html->has_stopped)
            return;
        if (is_between_tags(html))
            hear_text(html, source.ptr + at, (int)len);
        else
            parse(html, bytes_slice(source, at, len));
        source = bytes_slice(source, at + len, SIZE_MAX);
    }
    if (!html->has_stopped)
        parse(html, source);
}

/* ---- documents --------------------------------------------------------------------------------- */

static void parse_block(struct text_html *html)
{
    const struct _xmlParserInput *input = html->parser->input;

    parse_source(html, bytes_of(html->block, html->block_len));
    html->block_len = 0;
    if (html->has_stopped || input->end - input->cur <= TEXT_HTML_TOKEN_MAX)
        return;
    end(html);
    html->has_stopped = true;
}

bool text_render_html(struct text_html *html, struct bytes chunk, struct buf *out)
{
    html->out = out;
    if (html->parser == NULL)
        begin(html);
    while (chunk.len > 0 && !html->has_stopped) {
        struct bytes next = bytes_slice(chunk, 0, BLOCK_BYTES - html->block_len);

        memcpy(html->block + html->block_len, next.ptr, next.len);
        html->block_len += next.len;
        chunk = bytes_slice(chunk, next.len, SIZE_MAX);
        if (html->block_len == BLOCK_BYTES)
            parse_block(html);
    }
    return !html->has_stopped;
}

bool text_finish_html(struct text_html *html, struct buf *out)
{
    bool is_whole;

    html->out = out;
    if (html->parser != NULL && !html->has_stopped)
        parse_block(html);
    if (html->parser != NULL && !html->has_stopped)
        end(html);
    is_whole = !html->has_stopped;
    text_reset_html(html);
    return is_whole;
}

void text_reset_html(struct text_html *html)
{
    size_t rendered_max = html->rendered_max;

    if (html->parser != NULL)
        htmlFreeParserCtxt(html->parser);
    memset(html, 0, offsetof(struct text_html, block));
    html->rendered_max = rendered_max;
}

struct text_html *text_create_html(size_t rendered_max)
{
    static pthread_once_t is_prepared = PTHREAD_ONCE_INIT;
    struct text_html *html = calloc(1, sizeof *html);

    assert(html != NULL);
    (void)pthread_once(&is_prepared, xmlInitParser);
    html->rendered_max = rendered_max;
    return html;
}

void text_free_html(struct text_html **html)
{
    if (*html == NULL)
        return;
    text_reset_html(*html);
    free(*html);
    *html = NULL;
}
