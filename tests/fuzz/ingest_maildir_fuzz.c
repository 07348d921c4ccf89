/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to the first NUL a dovecot-keywords, behind it a path: every keyword of the path is one of the file,
 * each once, and none that cannot be one.
 */
#include "base/limits.h"
#include "ingest/maildir.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ingest_maildir_keywords known;
    struct ingest_maildir_flags flags;
    struct bytes path = bytes_of(data, size);
    struct bytes file;

    if (!scan_until_byte(&path, 0, &file))
        file = path;
    ingest_read_maildir_keywords(file, &known);
    ingest_read_maildir_flags(path, &known, &flags);
    assert(flags.keyword_count <= INGEST_MAILDIR_KEYWORDS);
    for (size_t i = 0; i < flags.keyword_count; i++) {
        struct bytes name = flags.keywords[i];

        assert(name.len > 0 && name.len <= LIMIT_KEYWORD_BYTES);
        assert(name.ptr >= file.ptr && name.ptr + name.len <= file.ptr + file.len);
        assert(bytes_find_byte(name, ' ') < 0 && bytes_find_byte(name, '\n') < 0);
    }
    return 0;
}
