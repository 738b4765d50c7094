# SPDX-License-Identifier: GPL-3.0-or-later
# peregrine-generator and peregrine-tcp-client, the load that `make bench` uses; included by the top Makefile.

GENERATOR_SKELETON := $(BUILD)/generator.skel.h
BENCH_SKELETONS += $(GENERATOR_SKELETON)

$(BUILD)/tools/generator/%.bpf.o: tools/generator/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -Itools/generator -c $< -o $@

$(GENERATOR_SKELETON): $(BUILD)/tools/generator/generator.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name generator_bpf > $@

$(BUILD)/tools/generator/main.o $(BUILD)/tools/generator/latency.o: $(GENERATOR_SKELETON)

generator: $(BUILD)/peregrine-generator $(BUILD)/peregrine-tcp-client
.PHONY: generator

$(BUILD)/peregrine-generator: $(addprefix $(BUILD)/tools/generator/,main.o options.o account.o latency.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(shell pkg-config --libs libbpf jansson 2>/dev/null) -lpthread

$(BUILD)/peregrine-tcp-client: $(addprefix $(BUILD)/tools/generator/,tcp.o tcp_connection.o account.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(shell pkg-config --libs jansson 2>/dev/null)
