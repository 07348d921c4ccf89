/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/placeholder.h"

/* Subjects, as the line begins. A genuine message with such a subject loses nothing: it is archived
 * too, and stays in the list of failures. */
static const struct bytes subjects[] = {
    /* Exchange 2007 to Exchange Online; "… for the following message: 4711" */
    BYTES_INIT("Subject: Retrieval using the IMAP4 protocol failed"),
};

static bool is_subject(struct bytes line)
{
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        if (bytes_start_with_nocase(line, subjects[i]))
            return true;
    return false;
}

bool ingest_is_placeholder(struct bytes beginning)
{
    while (beginning.len > 0) {
        ptrdiff_t line_feed = bytes_find(beginning, BYTES("\n"));

        if (is_subject(beginning))
            return true;
        if (line_feed < 0 || line_feed == 0 || (line_feed == 1 && beginning.ptr[0] == '\r'))
            return false; /* the end of the header */
        beginning = bytes_slice(beginning, (size_t)line_feed + 1, SIZE_MAX);
    }
    return false;
}
