/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/checked.h - arithmetic on numbers from outside. False means that the result did not fit;
 * *out is then unspecified and must not be used.
 */
#pragma once

#include "base/cleanup.h"

#define checked_add(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define checked_sub(a, b, out) (!__builtin_sub_overflow((a), (b), (out)))
#define checked_mul(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))
