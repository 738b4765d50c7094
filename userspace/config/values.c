/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[160];

static bool parse_digits(const char *text, size_t length, uint64_t *out)
{
	uint64_t value = 0;
	if (length == 0 || length > 19) /* 19 digits fit in 64 bits */
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*out = value;
	return true;
}

const char *value_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	uint64_t value;
	if (parse_digits(text, strlen(text), &value) && value >= least && value <= most) {
		*out = value;
		return NULL;
	}
	snprintf(message, sizeof(message), "not a number from %llu to %llu; write one in digits",
	         (unsigned long long)least, (unsigned long long)most);
	return message;
}

static void size_text(uint64_t size, char *out, size_t room)
{
	if (size >> 30 && size % ((uint64_t)1 << 30) == 0)
		snprintf(out, room, "%lluGiB", (unsigned long long)(size >> 30));
	else
		snprintf(out, room, "%lluMiB", (unsigned long long)(size >> 20));
}

const char *value_size(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	static const struct {
		const char *suffix;
		unsigned shift;
	} units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	size_t digits = strspn(text, "0123456789");
	const char *suffix = text + digits;
	suffix += strspn(suffix, " ");
	uint64_t value;
	if (!parse_digits(text, digits, &value))
		return "not a size; write digits and KiB, MiB or GiB, like 512MiB";
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcasecmp(suffix, units[i].suffix) != 0)
			continue;
		if (value <= UINT64_MAX >> units[i].shift) {
			value <<= units[i].shift;
			if (value >= least && value <= most) {
				*out = value;
				return NULL;
			}
		}
		char low[24], high[24];
		size_text(least, low, sizeof(low));
		size_text(most, high, sizeof(high));
		snprintf(message, sizeof(message), "out of bounds; write a size from %s to %s", low, high);
		return message;
	}
	return "not a size; the units are KiB, MiB and GiB (1024 each), like 512MiB";
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

const char *value_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	struct in_addr four;
	struct in6_addr six;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &four) == 1) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_addr = four;
	} else if (inet_pton(AF_INET6, text, &six) == 1) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = six;
	} else if (strchr(text, '%')) {
		/* A link-local address names its link. AI_NUMERICHOST: no resolver is asked. */
		struct addrinfo hints = {.ai_family = AF_INET6, .ai_flags = AI_NUMERICHOST}, *found;
		if (getaddrinfo(text, NULL, &hints, &found) != 0)
			return "not an address on a link of this host; write it like fe80::1%eth0";
		memcpy(out, found->ai_addr, found->ai_addrlen);
		freeaddrinfo(found);
	} else {
		return "not an IPv4 or IPv6 address; write digits like 192.0.2.1 or \"2001:db8::1\", no name";
	}
	set_port(out, port);
	return NULL;
}

const char *value_address_port(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	char address[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	const char *at = strchr(text, '@');
	size_t length = at ? (size_t)(at - text) : strlen(text);
	uint64_t given = port;
	if (at && (!parse_digits(at + 1, strlen(at + 1), &given) || given < 1 || given > 65535))
		return "the port behind `@` is not a number from 1 to 65535; write it like 192.0.2.1@5353";
	if (length >= sizeof(address))
		return "not an IPv4 or IPv6 address; write digits like 192.0.2.1 or \"2001:db8::1\", no name";
	memcpy(address, text, length);
	address[length] = 0;
	return value_address(address, (uint16_t)given, out);
}

const char *value_service_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	if (strchr(text, '@'))
		return "a port is not taken here; write the address alone, and the port as server.port";
	const char *wrong = value_address(text, port, out);
	if (wrong)
		return wrong;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)out;
	uint32_t four = out->ss_family == AF_INET ? ntohl(((const struct sockaddr_in *)out)->sin_addr.s_addr) : 1;
	if (four == 0 || (out->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)))
		return "stands for every address; write the word any for that";
	if (four >> 28 >= 0xe || (out->ss_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&six->sin6_addr)))
		return "a multicast or reserved address; write an address of this host";
	if (out->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return "an IPv4 address in IPv6 form; write it like 192.0.2.1";
	return NULL;
}

/* Takes a prefix down; bits behind it are cleared. */
static const char *set_prefix(struct config_prefix *out, const struct sockaddr_storage *address, unsigned bits)
{
	memset(out, 0, sizeof(*out));
	if (address->ss_family == AF_INET) {
		memset(out->address + 10, 0xff, 2);
		memcpy(out->address + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
		bits = bits > 32 ? 128 : bits + 96;
	} else {
		memcpy(out->address, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	}
	out->length = bits;
	for (unsigned bit = bits; bit < 128; bit++)
		out->address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return NULL;
}

const char *value_truth(const char *text, bool *out)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return "neither true nor false; write one of these";
	*out = *text == 't';
	return NULL;
}

const char *value_secret(const char *text, uint8_t *out, size_t size)
{
	static const char wrong[] = "not a secret of 32 hexadecimal digits; make one with `openssl rand -hex 16`";
	for (size_t i = 0; i < size; i++, text += 2) {
		const char digits[3] = {text[0], text[0] ? text[1] : 0, 0};
		char *end;
		out[i] = (uint8_t)strtoul(digits, &end, 16);
		if (!isxdigit((unsigned char)digits[0]) || end != digits + 2)
			return wrong;
	}
	return *text ? wrong : NULL;
}

const char *value_prefix(const char *text, struct config_prefix *out)
{
	char address[INET6_ADDRSTRLEN];
	struct sockaddr_storage parsed;
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	if (length < sizeof(address)) {
		uint64_t bits = 128;
		memcpy(address, text, length);
		address[length] = 0;
		if (!strchr(address, '%') && !value_address(address, 0, &parsed) &&
		    (!slash || (parse_digits(slash + 1, strlen(slash + 1), &bits) &&
		                bits <= (parsed.ss_family == AF_INET ? 32 : 128))))
			return set_prefix(out, &parsed, slash ? (unsigned)bits : 128);
	}
	return "not a prefix; write it like 192.0.2.0/24 or \"2001:db8::/32\"";
}

const char *value_endpoint(const char *text)
{
	static const char wrong[] = "not ADDRESS:PORT; write it like \"127.0.0.1:9353\" or \"[::1]:9353\"";
	char address[INET6_ADDRSTRLEN];
	struct sockaddr_storage parsed;
	uint64_t port;
	const char *colon = strrchr(text, ':');
	if (!colon || !parse_digits(colon + 1, strlen(colon + 1), &port) || port < 1 || port > 65535)
		return wrong;
	bool brackets = *text == '[' && colon > text + 1 && colon[-1] == ']';
	const char *start = text + brackets, *end = colon - brackets;
	size_t length = (size_t)(end - start);
	if (end < start || length >= sizeof(address))
		return wrong;
	memcpy(address, start, length);
	address[length] = 0;
	if (value_address(address, 0, &parsed) || (parsed.ss_family == AF_INET6) != brackets)
		return wrong;
	return NULL;
}

const char *value_name(const char *text, knot_dname_t **out)
{
	for (const char *at = text; *at; at++) {
		if ((unsigned char)*at >= 0x80)
			return "not in ASCII; write an internationalised name in its A-label form (xn--...)";
		if (isspace((unsigned char)*at) || *at == '@' || *at == '/' || *at == '"')
			return "not a domain name; write it like example.org";
	}
	knot_dname_t *name = knot_dname_from_str_alloc(text);
	if (!name)
		return "not a domain name (an empty label, a label above 63 octets, or more than 255 in all); write it "
		       "like example.org";
	knot_dname_to_lower(name);
	*out = name;
	return NULL;
}

const char *value_interface(const char *text)
{
	size_t length = strlen(text);
	if (length > 15)
		return "longer than the 15 octets that Linux allows; `ip link` shows the names";
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strpbrk(text, "/: \t\n\v\f\r"))
		return "not a network interface's name; `ip link` shows the names";
	return NULL;
}

const char *value_path(const char *text, size_t most)
{
	if (*text != '/')
		return "not an absolute path; write it from the root, with `/` in front";
	if (strlen(text) > most) {
		snprintf(message, sizeof(message), "longer than %zu octets; choose a shorter path", most);
		return message;
	}
	return NULL;
}
