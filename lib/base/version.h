/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/version.h - which Holdfast this is: what exports and reports name.
 */
#pragma once

#define HOLDFAST_VERSION "0.1"
