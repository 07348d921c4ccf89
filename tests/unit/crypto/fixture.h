/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/crypto/fixture.h - files in a temporary folder of this process, removed at its end. */
#pragma once

/* folder/name, in memory that lives until the process ends. */
const char *fixture_path(const char *name);
void fixture_write(const char *path, const char *text, unsigned mode);
