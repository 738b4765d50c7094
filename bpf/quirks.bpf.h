/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the compiler and the verifier do not understand each other. */
#ifndef PEREGRINE_QUIRKS_BPF_H
#define PEREGRINE_QUIRKS_BPF_H

/* clang checks one copy of a value and indexes with another, whose bounds the verifier then does not know (LLVM's
 * BPF backend, up to and including 18). The mask is applied where neither can be moved: PG_MASK(x, 2^n - 1). Before
 * Linux 6.13 or so this goes for offsets into packets too. */
#define PG_MASK(value, mask)                                                                                           \
	({                                                                                                             \
		__u64 masked = (__u32)(value);                                                                         \
		asm volatile("%0 &= %1" : "+r"(masked) : "i"(mask));                                                   \
		masked;                                                                                                \
	})

/* A bounds check must be made on the very pointer that is read through, at an offset that is not negative; clang would
 * rather check a sum and subtract. */
#define PG_OPAQUE(pointer) asm volatile("" : "+r"(pointer))

/* A loop must not begin at the instruction behind a call: the check of the control flow in Linux 6.1 takes the jump
 * back there for a recursion ("back-edge"). This puts an instruction between. */
#define PG_APART(value) asm volatile("%0 = %0" : "+r"(value))

#endif
