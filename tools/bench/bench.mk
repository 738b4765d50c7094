# SPDX-License-Identifier: GPL-3.0-or-later
# peregrine-bench; included by the top Makefile. It needs $(LIB), and libzscanner besides $(ALL_LIBS).

BENCH_SOURCES := $(wildcard tools/bench/*.c)
BENCH_BPF_SOURCES := $(filter %.bpf.c,$(BENCH_SOURCES))
BENCH_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %.bpf.c,$(BENCH_SOURCES)))
BENCH_SKELETONS := $(BENCH_BPF_SOURCES:tools/bench/%.bpf.c=$(BUILD)/bench_%.skel.h)

$(BUILD)/tools/bench/%.bpf.o: tools/bench/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -Itools/bench -c $< -o $@

$(BUILD)/bench_%.skel.h: $(BUILD)/tools/bench/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name bench_$*_bpf > $@

$(BENCH_OBJECTS): $(BENCH_SKELETONS) $(SKELETON)

$(BUILD)/peregrine-bench: $(BENCH_OBJECTS) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -lzscanner $(ALL_LIBS)
