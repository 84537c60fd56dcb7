/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one place that says which weft this is. */
#ifndef WEFT_VERSION
#define WEFT_VERSION "0.1.0"
#endif
