# SPDX-License-Identifier: GPL-3.0-or-later
#
#   make deps demo test        one command each, on a fresh machine; as root
#   make all install clean     BUILD=, DESTDIR=, PREFIX= as usual; V=1 shows the commands
#   make unit asan test-bpf lint fuzz integration vm bench bench-quick bench-growth format   parts of `make test`, and more

VERSION = 0.1.0
BUILD ?= build
# One spelling of a path, or what depends on a header is not made anew.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin" command -v bpftool)
PYTHON ?= /usr/bin/python3
SANITIZE ?=

ifeq ($(V),0)
Q = @
say = @printf '  %-8s %s\n' $(1) $(2)
else
Q =
say = @:
endif

# Looked up when make starts: before `make deps` was run there is nothing to be found, so `demo` and `test` start make
# once more.
LIBRARIES = libbpf libelf libknot libdnssec gnutls libcyaml libuv liburcu-memb liburcu-cds libnl-3.0 libnl-route-3.0 \
	jansson libsystemd lmdb
PKG_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)
TRIPLET := $(shell gcc -print-multiarch 2>/dev/null)

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) -MMD -MP -D_GNU_SOURCE -DPEREGRINE_VERSION='"$(VERSION)"' \
	-fstack-protector-strong -Ibpf -Iuserspace -I$(BUILD) $(PKG_CFLAGS) $(HARDENING)
# Sanitizers make gcc see truncation and loose ends where there are none.
HARDENING = $(if $(SANITIZE),$(SANITIZE) -fno-omit-frame-pointer -Wno-error,-D_FORTIFY_SOURCE=2)
ALL_LIBS = $(PKG_LIBS) -lpthread
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -MMD -MP \
	-Ibpf -I/usr/include/$(TRIPLET)

LIB := $(BUILD)/libperegrine.a
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out userspace/agent/main.c,$(wildcard userspace/*/*.c)))
CLI_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/peregrine/*.c))
SKELETON := $(BUILD)/peregrine.skel.h $(BUILD)/ingress.skel.h
UNIT_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
BPF_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bpf/test_*.c))
FUZZ_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

export PEREGRINE_BUILD = $(abspath $(BUILD))

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL = all
.PHONY: all deps demo test install clean unit asan test-bpf lint fuzz integration vm bench format
.PHONY: bench-quick bench-growth bench-readme bench-kernel bench-instructions verifier-record
.PHONY: unit-programs bpf-programs fuzz-programs tidy

all: $(BUILD)/peregrined $(BUILD)/peregrine $(BUILD)/peregrine-verifier

deps:
	$(Q)tools/deps

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tools/lab/demo.py

test: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tests/run

unit asan test-bpf lint fuzz: all
	$(Q)$(PYTHON) tests/run $@

integration vm: all
	$(Q)$(PYTHON) tests/run $@

fuzz: export FUZZ_SECONDS ?= 600

# What a reply costs in the kernel; then Peregrine and its peers, side by side; BENCH= takes further
# options. Both run, whatever comes of the first.
bench: all $(BUILD)/peregrine-bench generator
	$(Q)$(BUILD)/peregrine-bench $(if $(QUICK),--quick,--rounds 4 --repeat 200000); status=$$?; \
	$(PYTHON) tools/bench/peers/main.py $(if $(QUICK),--quick) --output $(BUILD)/bench $(BENCH) && exit $$status

bench-quick:
	$(Q)$(MAKE) --no-print-directory QUICK=1 bench

# Growth up to 10,000,000 names: ten minutes, 16 GB of memory, and 2 GB of disk.
bench-growth: all generator
	$(Q)$(PYTHON) tools/bench/peers/main.py --parts growth --largest 10000000 --output $(BUILD)/bench-growth $(BENCH)

# What the last `make bench` came to, and the last `make bench-growth` instead of its part, into README.md and docs/plots.
bench-readme:
	$(Q)$(PYTHON) tools/bench/peers/readme.py $(BUILD)/bench $(wildcard $(BUILD)/bench-growth)

bench-kernel: $(BUILD)/peregrine-bench
	$(Q)$< $(if $(QUICK),--quick --force)

# Instructions that a reply takes, counted in QEMU, where no neighbour makes them dearer. Two minutes.
bench-instructions: $(BUILD)/peregrine-bench
	$(Q)$(PYTHON) tools/bench/instructions.py $(BENCH)

# Who can be whose primary, tried out with the real servers: docs/interop.md.
interop: all
	$(Q)$(PYTHON) tests/integration/interop.py

# What the verifiers of this kernel and of those in QEMU make of the programs, taken down anew.
verifier-record: all
	$(Q)$(PYTHON) tools/verifier/record.py

# Binaries.

$(BUILD)/peregrined: $(BUILD)/userspace/agent/main.o $(LIB)
$(BUILD)/peregrine: $(CLI_OBJECTS) $(LIB)
$(BUILD)/peregrined $(BUILD)/peregrine:
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(ALL_LIBS)

# It runs in guests too: no library but libbpf.
$(BUILD)/peregrine-verifier: $(BUILD)/tools/verifier/main.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(shell pkg-config --libs libbpf 2>/dev/null)

$(LIB): $(LIB_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(SKELETON): $(BUILD)/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(LIB_OBJECTS) $(BUILD)/tools/verifier/main.o $(addsuffix .o,$(UNIT_PROGRAMS) $(BPF_PROGRAMS) $(FUZZ_PROGRAMS)): | $(SKELETON)

$(BUILD)/%.o: %.c
	$(call say,CC,$@)
	$(if $(PKG_LIBS),,$(error libraries are missing: run `make deps` first))
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c $< -o $@

# Tests. `tests/run` builds and runs them suite by suite, and counts.

unit-programs: $(UNIT_PROGRAMS)
bpf-programs: $(BPF_PROGRAMS)
fuzz-programs: $(FUZZ_PROGRAMS)

$(UNIT_PROGRAMS) $(BPF_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -lcmocka -lzscanner -ldnssec $(ALL_LIBS)

$(FUZZ_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -fsanitize=fuzzer -o $@ $^ -lzscanner -ldnssec $(ALL_LIBS)

-include tools/bench/bench.mk
-include tools/generator/generator.mk

C_FILES = $(sort $(wildcard bpf/*.[ch] bpf/*/*.[ch] userspace/*/*.[ch] tools/*/*.[ch] tests/*/*.[ch]))

format:
	$(Q)clang-format -i $(C_FILES)

# clang-tidy reads every source with the flags that it is compiled with.
TIDY_CFLAGS = $(patsubst -I$(BUILD),-isystem $(BUILD),$(filter-out -MMD -MP,$(ALL_CFLAGS)))
TIDY_SOURCES = $(filter-out %.bpf.c,$(filter userspace/%.c tools/%.c,$(C_FILES)))
tidy: $(TIDY_SOURCES:%.c=$(BUILD)/tidy/%)
$(BUILD)/tidy/%: %.c .clang-tidy $(wildcard bpf/*.h bpf/*/*.h userspace/*/*.h) | $(SKELETON) $(BENCH_SKELETONS)
	$(call say,TIDY,$<)
	$(Q)mkdir -p $(@D) && clang-tidy --quiet $< -- $(TIDY_CFLAGS) && touch $@

# Installing.

install: all
	install -Dm755 -t $(DESTDIR)$(PREFIX)/sbin $(BUILD)/peregrined
	install -Dm755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/peregrine
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/peregrine.1
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/peregrine.conf.5
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/peregrined.8
	install -Dm644 tools/peregrine/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/peregrine
	install -Dm644 tools/peregrine/completion.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_peregrine
	install -Dm644 tools/peregrine/completion.fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/peregrine.fish
	install -Dm644 -t $(DESTDIR)/etc/peregrine tools/packaging/peregrine.yaml.example
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' tools/packaging/peregrined.service.in \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/peregrined.service

clean:
	$(Q)rm -rf $(BUILD)

-include $(shell [ -d $(BUILD) ] && find $(BUILD) -name '*.d')
