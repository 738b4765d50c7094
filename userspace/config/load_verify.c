/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a zone's versions have to stand before they are served: zonemd, max-shrink, dnssec, verify-command. */
#include "config/load.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct config_verify load_verify_default = {.zonemd = CONFIG_ZONEMD_IF_PRESENT, .max_shrink = 50};

static const char *judge_zonemd(const char *text, enum config_zonemd *out)
{
	static const char *const words[] = {[CONFIG_ZONEMD_IF_PRESENT] = "if-present",
	                                    [CONFIG_ZONEMD_REQUIRED] = "required",
	                                    [CONFIG_ZONEMD_OFF] = "off"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*out = (enum config_zonemd)i;
		return NULL;
	}
	return "not one of if-present, required, off; if-present checks the digests of zones that have one";
}

static const char *judge_dnssec(const char *text, bool *out)
{
	*out = strcmp(text, "check") == 0;
	return *out || strcmp(text, "off") == 0 ? NULL : "neither off nor check; check refuses wrong signatures";
}

static const char *judge_command(const char *path)
{
	const char *wrong = value_path(path, 4095);
	struct stat status;

	if (wrong)
		return wrong;
	if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0)
		return NULL;
	return "cannot be run; name a program that peregrined may execute, by its whole path and without arguments";
}

void load_verify(struct load *load, const struct raw_verify *raw, const yaml_node_t *mapping,
                 struct config_verify *verify)
{
	struct document *document = &load->document;

	verify->max_shrink =
	    (unsigned)load_number(load, mapping, "max-shrink", raw->max_shrink, 0, 100, verify->max_shrink);
	if (load_given(raw->zonemd))
		load_judge(load, document_field(document, mapping, "zonemd"), "zonemd", raw->zonemd,
		           judge_zonemd(raw->zonemd, &verify->zonemd));
	if (load_given(raw->dnssec))
		load_judge(load, document_field(document, mapping, "dnssec"), "dnssec", raw->dnssec,
		           judge_dnssec(raw->dnssec, &verify->dnssec));
	if (!load_given(raw->command) || !load_judge(load, document_field(document, mapping, "verify-command"),
	                                             "verify-command", raw->command, judge_command(raw->command)))
		return;
	verify->command = load_setting(load, strlen(raw->command) + 1);
	if (verify->command)
		strcpy(verify->command, raw->command);
}
