/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making room for the reply in the frame that the query came in. */
#ifndef PEREGRINE_RESIZE_BPF_H
#define PEREGRINE_RESIZE_BPF_H

#include "packet.bpf.h"

/* Headroom that a frame has in native mode, less what the kernel keeps at its start when it sends the frame on
 * (struct xdp_frame). */
#define HEADROOM_USED 208
#define HEADERS_MAX (PG_MESSAGE_OFFSET_MAX + PG_HEADER_SIZE + PG_NAME_ROOM + 4)

/* Moves the first `length` octets of the frame `shift` octets towards its start, which is where they were before the
 * frame grew at its head. */
static __always_inline int move_to_start(struct xdp_md *ctx, __u32 length, __u32 shift)
{
	__u8 *to = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
	__u8 *from = to + PG_MASK(shift, 0xff);

	for (__u32 i = 0; i < HEADERS_MAX / 8 + 1; i++) {
		if (i * 8 >= length)
			return 0;
		/* Whole words: what is moved beyond the question is overwritten by the answer, which has at least that
		 * many octets when the frame had to grow. */
		if (from + 8 > end || to + 8 > end)
			break;
		*(__u64 *)to = *(__u64 *)from;
		to += 8;
		from += 8;
	}
	for (__u32 i = 0; i < 8; i++) {
		if (from + 1 > end || to + 1 > end)
			return 0;
		*to++ = *from++;
	}
	return 0;
}

/* Octets of the frame in its first buffer. */
static __always_inline __u32 first_buffer(const struct xdp_md *ctx)
{
	return (const __u8 *)(long)ctx->data_end - (const __u8 *)(long)ctx->data;
}

static __always_inline int is_whole(struct xdp_md *ctx)
{
	return bpf_xdp_get_buff_len(ctx) == first_buffer(ctx);
}

/*
 * Makes the frame `want` octets long, of which the first `keep` stay as they are. Most drivers leave a page's rest
 * behind the frame. Where they do not (veth since Linux 6.8 or so packs frames of the stack tightly; some drivers use
 * half pages) there is still the headroom that XDP is owed: the frame then grows at its head, and `keep` octets move.
 * Returns -1, the frame being as it was, when neither suffices.
 */
static __always_inline int resize(struct xdp_md *ctx, int want, __u32 keep)
{
	int growth = want - (int)first_buffer(ctx), behind;

	/* In several buffers: only the last one would grow, and the reply is written to the first. What was cut off of
	 * the last would be lost, so it is asked before; what it grew can be taken back. */
	if (growth <= 0 && !is_whole(ctx))
		return -1;
	if (!growth)
		return 0;
	if (!bpf_xdp_adjust_tail(ctx, growth)) {
		if (first_buffer(ctx) == (__u32)want)
			return 0;
		bpf_xdp_adjust_tail(ctx, -growth);
		return -1;
	}
	if (!is_whole(ctx))
		return -1;
	/* At least a word at the head, so that octets can be moved by words. */
	behind = growth > HEADROOM_USED ? growth - HEADROOM_USED : growth < 8 ? growth - 8 : 0;
	/* In such an order that what was done can be taken back: octets that were cut off come back as zeros. */
	if (behind > 0 && bpf_xdp_adjust_tail(ctx, behind))
		return -1;
	if (bpf_xdp_adjust_head(ctx, behind - growth)) {
		if (behind > 0)
			bpf_xdp_adjust_tail(ctx, -behind);
		return -1;
	}
	if (behind < 0 && bpf_xdp_adjust_tail(ctx, behind)) {
		bpf_xdp_adjust_head(ctx, growth - behind);
		return -1;
	}
	return move_to_start(ctx, keep, growth - behind);
}

#endif
