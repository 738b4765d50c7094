/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The image that is measured on, for the host's engine. */
#ifndef PEREGRINE_IMAGE_OF_BENCH_H
#define PEREGRINE_IMAGE_OF_BENCH_H

struct image;

struct image *bench_image(void);

#endif
