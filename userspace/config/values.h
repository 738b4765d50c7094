/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Single values of the configuration: each parser returns NULL, or what is wrong and what to write instead. */
#ifndef PEREGRINE_CONFIG_VALUES_H
#define PEREGRINE_CONFIG_VALUES_H

#include "config/config.h"

#include <libknot/dname.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* A decimal number from `least` to `most`. The message stands in a buffer of the calling thread. */
const char *value_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);
/* A number of octets, with KiB, MiB or GiB. */
const char *value_size(const char *text, uint64_t least, uint64_t most, uint64_t *out);
/* An address without a port; `port` is filled in. */
const char *value_address(const char *text, uint16_t port, struct sockaddr_storage *out);
/* The same, with a port behind `@` if it is another one. */
const char *value_address_port(const char *text, uint16_t port, struct sockaddr_storage *out);
/* A service address: one that a host can have and resolvers can ask. */
const char *value_service_address(const char *text, uint16_t port, struct sockaddr_storage *out);
/* An address with a prefix length, or without for a single host. */
const char *value_prefix(const char *text, struct config_prefix *out);
/* true or false. */
const char *value_truth(const char *text, bool *out);
/* `size` octets as hexadecimal digits. */
const char *value_secret(const char *text, uint8_t *out, size_t size);
/* ADDRESS:PORT, an IPv6 address in brackets. */
const char *value_endpoint(const char *text);
/* A domain name, to wire format in lower case. */
const char *value_name(const char *text, knot_dname_t **out);
/* A network interface's name as the kernel allows it. */
const char *value_interface(const char *text);
/* An absolute path of at most `most` octets. */
const char *value_path(const char *text, size_t most);

#endif
