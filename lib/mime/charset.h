/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/charset.h - text in any charset to UTF-8, as a stream.
 *
 * Lenient, for searching and for showing: never fails, every octet becomes something. What does not
 * belong to the charset becomes U+FFFD and is counted. A charset that is unknown, missing or a plain
 * lie is read as UTF-8 where that is valid, and as windows-1252 elsewhere. The output is always valid
 * UTF-8. A few charsets are read as the larger one that mail programs mean by them (gb2312 as gbk).
 *
 * US-ASCII, UTF-8, ISO-8859-1 and windows-1252 are converted here; the others by iconv(3), which may
 * read its tables from the system's files when one is first met. One decoder, one thread.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

struct mime_charset_decoder;

/* Never NULL. name: as in the message; empty when it says none. */
struct mime_charset_decoder *mime_open_charset(struct bytes name);
void mime_close_charset(struct mime_charset_decoder **decoder);

/* For another text in the same charset: as new. Opening a rare charset costs far more. */
void mime_reset_charset(struct mime_charset_decoder *decoder);

void mime_decode_charset(struct mime_charset_decoder *decoder, struct bytes chunk, struct buf *out);
/* The text has ended: what was held back comes. */
void mime_finish_charset(struct mime_charset_decoder *decoder, struct buf *out);

bool mime_charset_is_known(const struct mime_charset_decoder *decoder);
uint64_t mime_charset_errors(const struct mime_charset_decoder *decoder); /* places, not octets */

/* All at once. */
void mime_convert_charset(struct bytes name, struct bytes text, struct buf *out);
