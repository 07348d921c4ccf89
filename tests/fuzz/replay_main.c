/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/replay_main.c - runs one fuzz target over stored inputs, without libFuzzer.
 *
 * Arguments are files and folders (not descended into). Each file is fed whole and cut short: at
 * every octet up to CUTS_EACH, beyond that at CUTS_EACH places spread evenly. The empty input is
 * always fed. Inputs are copied to memory of their exact size, so that ASan sees a read past it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CUTS_EACH = 512
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *current_file = "(empty input)";
static size_t fed_count;
static size_t file_count;

static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));

    if (copy == NULL) {
        perror("replay");
        exit(2);
    }
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    fed_count++;
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size + 1);

    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    fclose(file);
    current_file = path;
    file_count++;
    feed(data, size);
    if (size <= CUTS_EACH) {
        for (size_t cut = 0; cut < size; cut++)
            feed(data, cut);
    } else {
        for (size_t i = 0; i < CUTS_EACH; i++)
            feed(data, (size_t)((uint64_t)size * i / CUTS_EACH));
    }
    free(data);
}

static void replay(const char *path, int depth)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        if (errno == ENOENT && depth == 0)
            return; /* a target without a corpus yet */
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    if (S_ISREG(st.st_mode))
        replay_file(path, (size_t)st.st_size);
    if (!S_ISDIR(st.st_mode) || depth > 0)
        return;

    DIR *dir = opendir(path);

    if (dir == NULL) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay(name, depth + 1);
    }
    closedir(dir);
}

/* Names the input when the target, an assertion or a sanitizer ends the process early. */
static int is_done;
static void name_input(void)
{
    if (!is_done)
        fprintf(stderr, "replay: while reading %s\n", current_file);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');

    atexit(name_input);
    feed(NULL, 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i], 0);
    is_done = 1;
    printf("  ok      %s: %zu files, %zu inputs\n", name == NULL ? argv[0] : name + 1, file_count,
           fed_count);
    return 0;
}
