/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/choice.h - the operator's query as a choice of messages for an export (export.h).
 *
 * One walk over the mailboxes of the position (search/everywhere.h), in the same order as the export's.
 * One thread.
 */
#pragma once

#include "export/export.h"
#include "search/everywhere.h"

struct export_search;

/* request: at the export's position; all of it borrowed until the end. */
MUST_USE bool export_open_search(const struct search_walk_request *request,
                                 struct export_search **out, struct err *err);
void export_close_search(struct export_search **search);

/* For export_order.choice. */
struct export_choice export_choose_by(struct export_search *search);
