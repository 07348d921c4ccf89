/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/conf_text_fuzz.c - a settings file of any octets is refused with ERR_SYNTAX, or gives
 * settings which, printed, load back the same.
 */
#include "conf/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(conf_free) struct conf *conf = NULL;
    CLEANUP(conf_free) struct conf *back = NULL;
    CLEANUP(buf_free) struct buf first = buf_create(4 << 20);
    CLEANUP(buf_free) struct buf second = buf_create(4 << 20);
    struct err err = { 0 };

    if (size > 64 << 10)
        return 0;
    (void)setenv("HOME", "/home/fuzz", 1);
    if (!conf_load_text(bytes_of(data, size), "fuzz", &conf, &err)) {
        assert(conf == NULL && err.code == ERR_SYNTAX && err.text[0] != '\0');
        return 0;
    }
    conf_print_settings(conf, &first);
    assert(!first.has_failed);
    if (!conf_load_text(buf_bytes(&first), "printed", &back, &err))
        assert(false);
    conf_print_settings(back, &second);
    assert(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    return 0;
}
