/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/cleanup.h - attributes that make ownership and errors visible to the compiler.
 *
 * CLEANUP(f) runs f(&variable) when the variable leaves its scope. Every releaser in Holdfast takes
 * the address of the owner's pointer, accepts NULL and half-built objects and sets it to NULL, so
 * that any of them can stand here.
 */
#pragma once

#include <assert.h>

#define MUST_USE __attribute__((warn_unused_result))
#define CLEANUP(f) __attribute__((cleanup(f)))
#define PRINTF(at, va) __attribute__((format(printf, at, va)))
#define MALLOC_LIKE __attribute__((malloc, returns_nonnull))

/* Stands behind a switch that handles every value of its enum. Stays on in production. */
#define UNREACHABLE()                                                                              \
    do {                                                                                           \
        assert(0 && "a state that cannot be");                                                     \
        __builtin_unreachable();                                                                   \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
