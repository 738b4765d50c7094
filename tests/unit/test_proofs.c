/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine proves, against a plain model: random zones as sorted lists of names or hashes, in which each proof
 * that is due is looked up as RFC 4035 and RFC 5155 say. PG_SEED in the environment chooses others.
 */
#include "draw.h"
#include "signed_zone.h"
#include "zone_text.h"

#define PROOFS 3

static struct pg_work work;
static uint64_t first_bits(const uint8_t *hash)
{
	uint64_t bits = 0;

	for (int i = 0; i < 8; i++)
		bits = bits << 8 | hash[i];
	return bits;
}

/* RFC 5155 appendix A. */
static void hash_vectors(void **state)
{
	static const char *const vectors[][2] = {
	    {"example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"},
	    {"a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"},
	    {"ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"},
	    {"ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"},
	    {"ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r"},
	    {"w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h"},
	    {"*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"},
	    {"x.w.example.", "b4um86eghhds6nea196smvmlo4ors995"},
	    {"y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"},
	    {"x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s"},
	    {"xx.example.", "t644ebqk9bibcna874givr6joj62mlhv"},
	};
	static const uint8_t salt[] = {0xaa, 0xbb, 0xcc, 0xdd};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		knot_dname_storage_t name;
		uint64_t bits = 0;

		assert_non_null(knot_dname_from_str(name, vectors[i][0], sizeof(name)));
		for (int j = 0; j < 13; j++) {
			char c = vectors[i][1][j];
			uint64_t digit = c >= 'a' ? c - 'a' + 10 : c - '0';

			bits = j < 12 ? bits << 5 | digit : bits << 4 | digit >> 1;
		}
		assert_int_equal(bits, engine_nsec3_hash(12, salt, sizeof(salt), name, knot_dname_size(name)));
	}
}

static void random_label(uint8_t *label)
{
	static const uint8_t telling[] = {0, 1, 2, '*', ')', '+', 'a', 'b', 'z', 0x7f, 0xff};

	label[0] = draw(4) ? 1 + draw(10) : 1 + draw(63);
	switch (draw(4)) {
	case 0:
		for (int i = 1; i <= label[0]; i++)
			label[i] = draw(256);
		break;
	case 1: /* like many others for long */
		memset(label + 1, 'p', label[0]);
		label[label[0]] = telling[draw(sizeof(telling))];
		break;
	case 2:
		label[0] = 1;
		label[1] = telling[draw(sizeof(telling))];
		break;
	default:
		for (int i = 1; i <= label[0]; i++)
			label[i] = telling[draw(sizeof(telling))];
	}
}

/* Puts a label in front, if the name does not become too long. */
static void prepend(uint8_t *name, const uint8_t *label)
{
	size_t length = knot_dname_size(name);

	if (length + label[0] + 1U > KNOT_DNAME_MAXLEN || knot_dname_labels(name, NULL) >= KNOT_DNAME_MAXLABELS)
		return;
	memmove(name + label[0] + 1, name, length);
	memcpy(name, label, label[0] + 1U);
	knot_dname_to_lower(name);
}

static void hash_random_names(void **state)
{
	for (int round = 0; round < 3000; round++) {
		struct signing how = {.iterations = draw(51),
		                      .salt_length = (round < 512 ? (uint64_t)round / 2 : draw(256))};
		uint8_t name[256] = {0}, label[64], hash[SIGNED_HASH];

		for (size_t i = 0; i < how.salt_length; i++)
			how.salt[i] = draw(256);
		for (uint64_t labels = draw(130); labels; labels--) {
			random_label(label);
			prepend(name, label);
		}
		signed_hash(&how, name, hash);
		assert_int_equal(first_bits(hash), engine_nsec3_hash(how.iterations, how.salt, how.salt_length, name,
		                                                     knot_dname_size(name)));
	}
}

/* ------------------------------------------------------------------------------------------------------- the model */

static uint8_t apex[] = "\4test";

struct model {
	struct signing how;
	uint8_t (*names)[256]; /* in canonical order, each once; the first is the apex */
	size_t count;
	uint8_t (*hashes)[SIGNED_HASH]; /* with NSEC3: of names and empty non-terminals */
	size_t hash_count;
};

static int compare_names(const void *left, const void *right)
{
	return zone_compare_names(left, right);
}

static int compare_hashes(const void *left, const void *right)
{
	return memcmp(left, right, SIGNED_HASH);
}

/* The number of names before one. */
static size_t rank_of(const struct model *model, const uint8_t *name)
{
	size_t low = 0, high = model->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (zone_compare_names(model->names[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_name(const struct model *model, const uint8_t *name)
{
	size_t rank = rank_of(model, name);

	return rank < model->count && knot_dname_is_equal(model->names[rank], name);
}

/* There, or an empty non-terminal. */
static bool exists(const struct model *model, const uint8_t *name)
{
	size_t rank = rank_of(model, name);

	return rank < model->count && knot_dname_in_bailiwick(model->names[rank], name) >= 0;
}

/* Makes the first label a little different, or an octet longer or shorter: 0 is the least that can be added. */
static void change_label(uint8_t *name)
{
	uint8_t label[64], octets = name[0];

	memcpy(label, name, octets + 1U);
	memmove(name, name + octets + 1, knot_dname_size(name + octets + 1));
	switch (draw(4)) {
	case 0:
		label[1 + draw(octets)]++;
		break;
	case 1:
		label[1 + draw(octets)]--;
		break;
	case 2:
		if (octets > 1)
			label[0]--;
		break;
	default:
		if (octets < 63)
			label[++label[0]] = 0;
	}
	prepend(name, label);
}

/* A name near to one of those that are there, or far. */
static void random_name(const struct model *model, uint8_t *name)
{
	uint8_t label[64];
	uint64_t more = draw(8) ? 1 + draw(2) : draw(30);

	memcpy(name, model->names[draw(model->count)], 256);
	if (draw(3) == 0 && name[0] && knot_dname_size(name) > sizeof(apex)) {
		change_label(name);
		if (draw(2))
			more = 0;
	}
	for (; more; more--) {
		random_label(label);
		prepend(name, label);
	}
	knot_dname_to_lower(name);
}

/* The owner of the record that matches a name, or that covers it, into the set of those due. */
static void add_proof(const struct model *model, const uint8_t *name, bool matches, uint8_t proofs[PROOFS][256],
                      size_t *count)
{
	uint8_t owner[256] = {0}, hash[SIGNED_HASH];

	if (model->how.nsec3) {
		struct signed_zone zone = {.apex = apex};
		size_t rank = 0;

		signed_hash(&model->how, name, hash);
		while (rank < model->hash_count && memcmp(model->hashes[rank], hash, SIGNED_HASH) < 0)
			rank++;
		if (matches)
			assert_memory_equal(model->hashes[rank], hash, SIGNED_HASH);
		else
			rank = (rank ? rank : model->hash_count) - 1;
		signed_hash_owner(&zone, model->hashes[rank], owner);
	} else {
		size_t rank = rank_of(model, name);

		memcpy(owner, model->names[is_name(model, name) ? rank : rank - 1], sizeof(owner));
	}
	for (size_t i = 0; i < *count; i++)
		if (knot_dname_is_equal(proofs[i], owner))
			return;
	memcpy(proofs[(*count)++], owner, sizeof(owner));
}

/* What is due to a query: RCODE, whether there is an answer, and what proves it. Every name has an A record. */
static void expect(const struct model *model, const uint8_t *name, uint16_t type, uint8_t *rcode, bool *answer,
                   uint8_t proofs[PROOFS][256], size_t *count)
{
	const uint8_t *encloser = name, *closer = name;
	uint8_t wildcard[258] = {1, '*'};

	*count = 0;
	*rcode = KNOT_RCODE_NOERROR;
	if (exists(model, name)) {
		*answer = is_name(model, name) && type == KNOT_RRTYPE_A;
		if (!*answer)
			add_proof(model, name, true, proofs, count);
		return;
	}
	while (!exists(model, encloser)) {
		closer = encloser;
		encloser += encloser[0] + 1;
	}
	memcpy(wildcard + 2, encloser, knot_dname_size(encloser));
	*answer = is_name(model, wildcard) && type == KNOT_RRTYPE_A;
	if (!*answer && model->how.nsec3)
		add_proof(model, encloser, true, proofs, count);
	add_proof(model, closer, false, proofs, count);
	if (!*answer)
		add_proof(model, wildcard, exists(model, wildcard), proofs, count);
	if (!exists(model, wildcard))
		*rcode = KNOT_RCODE_NXDOMAIN;
}

/* A query with DO. Returns its length. */
static size_t make_query(uint8_t *wire, const uint8_t *name, uint16_t type)
{
	size_t length = zone_text_query(wire, ".", type, 4096), name_length = knot_dname_size(name);

	memmove(wire + 12 + name_length, wire + 13, length - 13);
	memcpy(wire + 12, name, name_length);
	length += name_length - 1;
	wire[length - 4] |= 0x80;
	return length;
}

static void check(struct image *image, const struct model *model, const uint8_t *name, uint16_t type)
{
	static uint8_t query[600], reply[65535];
	static uint8_t proofs[PROOFS + 1][256];
	size_t count, found = 0, length = make_query(query, name, type), reply_length = 0;
	const knot_pktsection_t *section;
	knot_dname_txt_storage_t text;
	uint8_t rcode;
	bool answer;
	knot_pkt_t *pkt;

	knot_dname_to_str(text, name, sizeof(text));
	expect(model, name, type, &rcode, &answer, proofs, &count);
	assert_int_equal(PG_EXIT_ANSWERED, zone_text_ask(image, &work, query, length, reply, &reply_length));
	pkt = knot_pkt_new(reply, reply_length, NULL);
	assert_int_equal(KNOT_EOK, knot_pkt_parse(pkt, 0));
	if (knot_wire_get_rcode(reply) != rcode || !knot_wire_get_ancount(reply) != !answer)
		fail_msg("%s type %u: rcode %u, %u answers", text, type, knot_wire_get_rcode(reply),
		         knot_wire_get_ancount(reply));
	section = knot_pkt_section(pkt, KNOT_AUTHORITY);
	for (uint16_t i = 0; i < section->count; i++) {
		const knot_rrset_t *rrset = knot_pkt_rr(section, i);
		bool due = false;

		if (rrset->type != KNOT_RRTYPE_NSEC && rrset->type != KNOT_RRTYPE_NSEC3)
			continue;
		for (size_t j = 0; j < count; j++)
			due |= knot_dname_is_equal(proofs[j], rrset->owner);
		if (!due) {
			knot_dname_txt_storage_t owner;

			for (size_t j = 0; j < count; j++)
				print_error("due: %s\n", knot_dname_to_str(owner, proofs[j], sizeof(owner)));
			fail_msg("%s type %u: %s proves nothing", text, type,
			         knot_dname_to_str(owner, rrset->owner, sizeof(owner)));
		}
		found++;
	}
	if (found != count)
		fail_msg("%s type %u: %zu proofs of %zu", text, type, found, count);
	knot_pkt_free(pkt);
}

/* Draws the names of a zone, and publishes it. */
static void make_model(struct model *model, struct image *image, size_t names)
{
	struct signed_zone zone = {.how = &model->how, .apex = apex, .builder = zone_builder_new(apex, 0)};
	static const uint8_t soa[22] = {0}, address[4] = {192, 0, 2, 1};
	struct zone_version *version;
	char why[512] = "";

	model->names = calloc(names + 1, sizeof(*model->names));
	memcpy(model->names[0], apex, sizeof(apex));
	for (model->count = 1; model->count < names; model->count++) {
		uint8_t name[256] = {0};

		random_name(model, name);
		if (knot_dname_in_bailiwick(name, apex) < 0)
			memcpy(name, model->names[0], sizeof(name));
		memcpy(model->names[model->count], name, sizeof(name));
	}
	qsort(model->names, model->count, sizeof(*model->names), compare_names);
	names = 1;
	for (size_t i = 1; i < model->count; i++)
		if (zone_compare_names(model->names[names - 1], model->names[i]))
			memcpy(model->names[names++], model->names[i], sizeof(*model->names));
	model->count = names;
	signed_record(&zone, apex, KNOT_RRTYPE_SOA, 60, soa, sizeof(soa));
	signed_record(&zone, apex, KNOT_RRTYPE_NS, 60, (const uint8_t *)"\2ns\5other", 10);
	for (size_t i = 0; i < names; i++)
		signed_record(&zone, model->names[i], KNOT_RRTYPE_A, 60, address, sizeof(address));
	version = signed_finish(&zone);
	assert_true(image_add_zone(image, apex) >= 0);
	if (image_commit(image, version, UINT64_MAX, zone_text_visible, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	zone_unref(version);
	if (!model->how.nsec3)
		return;
	for (int pass = 0; pass < 2; pass++) {
		model->hash_count = 0;
		for (size_t i = 0; i < names; i++)
			for (const uint8_t *name = model->names[i]; knot_dname_in_bailiwick(name, apex) >= 0;
			     name += name[0] + 1) {
				/* An empty non-terminal is that of the first name below it. */
				if (name != model->names[i] && (is_name(model, name) || rank_of(model, name) != i))
					break;
				if (pass)
					signed_hash(&model->how, name, model->hashes[model->hash_count]);
				model->hash_count++;
			}
		if (!pass)
			model->hashes = calloc(model->hash_count, sizeof(*model->hashes));
	}
	qsort(model->hashes, model->hash_count, sizeof(*model->hashes), compare_hashes);
}

static void random_zone(const struct signing *how, size_t names, int queries)
{
	struct image *image = image_open(NULL, 256 << 20, 53, 4096);
	struct model model = {.how = *how};

	make_model(&model, image, names);
	for (int i = 0; i < queries; i++) {
		uint8_t name[256] = {0};

		random_name(&model, name);
		if (knot_dname_in_bailiwick(name, apex) < 0)
			continue;
		check(image, &model, name, KNOT_RRTYPE_A);
		check(image, &model, name, KNOT_RRTYPE_TXT);
	}
	for (size_t i = 0; i < model.count; i += 1 + model.count / 200)
		for (const uint8_t *name = model.names[i]; name[0]; name += name[0] + 1)
			if (knot_dname_in_bailiwick(name, apex) >= 0)
				check(image, &model, name, KNOT_RRTYPE_TXT);
	free(model.names);
	free(model.hashes);
	image_close(image);
}

static void random_nsec(void **state)
{
	for (int round = 0; round < 40; round++)
		random_zone(&(struct signing){}, round < 30 ? 1 + draw(80) : 1 + draw(1500), 300);
	random_zone(&(struct signing){}, 5000, 1000);
}

static void random_nsec3(void **state)
{
	for (int round = 0; round < 30; round++) {
		struct signing how = {
		    .nsec3 = true, .iterations = draw(4), .salt_length = draw(2) ? draw(256) : 0, .salt = {1, 2, 3}};

		random_zone(&how, round < 25 ? 1 + draw(60) : 1 + draw(800), 200);
	}
	random_zone(&(struct signing){.nsec3 = true}, 3000, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hash_vectors),
	    cmocka_unit_test(hash_random_names),
	    cmocka_unit_test(random_nsec),
	    cmocka_unit_test(random_nsec3),
	};

	random_state = getenv("PG_SEED") ? strtoull(getenv("PG_SEED"), NULL, 0) : 1;
	urcu_memb_register_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
