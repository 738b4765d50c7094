/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DNS message on the wire: RFC 1035 section 4, RFC 6891. */
#ifndef PEREGRINE_ANSWER_WIRE_H
#define PEREGRINE_ANSWER_WIRE_H

#define PG_HEADER_SIZE 12
#define PG_FLAG_QR 0x80 /* octet 2 */
#define PG_OPCODE_MASK 0x78
#define PG_FLAG_AA 0x04
#define PG_FLAG_TC 0x02
#define PG_FLAG_RD 0x01

#define PG_LABEL_MAX 63 /* octets of a label */
#define PG_CLASS_IN 1

#define PG_TYPE_NS 2
#define PG_TYPE_CNAME 5
#define PG_TYPE_DNAME 39
#define PG_TYPE_SOA 6
#define PG_TYPE_OPT 41
#define PG_TYPE_DS 43
#define PG_TYPE_RRSIG 46
#define PG_TYPE_NSEC 47
#define PG_TYPE_NSEC3 50
#define PG_TYPE_IXFR 251
#define PG_TYPE_AXFR 252
#define PG_TYPE_ANY 255

#define PG_RCODE_NOERROR 0
#define PG_RCODE_SERVFAIL 2
#define PG_RCODE_NXDOMAIN 3
#define PG_RCODE_REFUSED 5
#define PG_RCODE_YXDOMAIN 6
#define PG_RCODE_BADVERS 16
#define PG_RCODE_BADCOOKIE 23

/* An OPT record without options: root, type, size, extended RCODE, version, flags, length. */
#define PG_OPT_SIZE 11
#define PG_OPT_OPTIONS_MAX 16
#define PG_OPTION_MAX 2048
#define PG_OPTION_NSID 3    /* RFC 5001 */
#define PG_OPTION_EXPIRE 9  /* RFC 7314 */
#define PG_OPTION_COOKIE 10 /* RFC 7873 */
#define PG_OPTION_EDE 15    /* RFC 8914 */
#define PG_EDE_NOT_AUTHORITATIVE 20

#define PG_UDP_PLAIN_SIZE 512 /* RFC 1035 section 4.2.1 */
#define PG_POINTER 0xc000
#define PG_POINTER_MAX 0x3fff

#endif
