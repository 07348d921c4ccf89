/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char folder[] = "/tmp/holdfast-crypto-XXXXXX";

static void must(bool is_fine)
{
    if (!is_fine)
        abort();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
    static char paths[64][128];
    static size_t count;

    if (count == 0) {
        must(mkdtemp(folder) != NULL);
        (void)atexit(remove_folder);
    }
    must(count < 64);
    (void)snprintf(paths[count], sizeof paths[count], "%s/%s", folder, name);
    return paths[count++];
}

void fixture_write(const char *path, const char *text, unsigned mode)
{
    FILE *file = fopen(path, "w");

    must(file != NULL && fputs(text, file) >= 0);
    must(fclose(file) == 0 && chmod(path, mode) == 0);
}
