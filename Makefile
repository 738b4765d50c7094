# SPDX-License-Identifier: GPL-3.0-or-later
# make deps all demo test bench install clean; V=1 shows the commands.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
SANITIZE ?=

ifeq ($(V),0)
Q = @
say = @printf '  %-8s %s\n' $(1) $(2)
else
Q =
say = @:
endif

# The packages are there only after `make deps`; then this make starts once more by itself.
LIBRARIES = libbpf libelf libknot cyaml libuv liburcu-memb libnl-3.0 libnl-route-3.0 jansson libsystemd
PKG_CFLAGS := $(shell pkg-config --cflags $(subst cyaml,libcyaml,$(LIBRARIES)) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(subst cyaml,libcyaml,$(LIBRARIES)) 2>/dev/null)
TRIPLET := $(shell $(CC) -dumpmachine)
VERSION := 0.1.0

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) $(SANITIZE) -MMD -MP -D_GNU_SOURCE -DPEREGRINE_VERSION='"$(VERSION)"' \
	-D_FORTIFY_SOURCE=2 -fstack-protector-strong -Ibpf -Iuserspace -I$(BUILD) $(PKG_CFLAGS)
ifneq ($(SANITIZE),)
ALL_CFLAGS += -U_FORTIFY_SOURCE -fno-omit-frame-pointer
endif
ALL_LIBS = $(PKG_LIBS) -lpthread $(SANITIZE)
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -MMD -MP \
	-Ibpf -I/usr/include/$(TRIPLET)

LIB_SOURCES := $(filter-out userspace/agent/main.c,$(wildcard userspace/*/*.c))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/libperegrine.a
CLI_SOURCES := $(wildcard tools/peregrine/*.c)
CLI_OBJECTS := $(CLI_SOURCES:%.c=$(BUILD)/%.o)
SKELETON := $(BUILD)/peregrine.skel.h

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps demo test bench install clean unit format lint

all: $(BUILD)/peregrined $(BUILD)/peregrine

$(BUILD)/peregrined: $(BUILD)/userspace/agent/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(ALL_LIBS)

$(BUILD)/peregrine: $(CLI_OBJECTS) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(ALL_LIBS)

$(LIB): $(LIB_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(SKELETON): $(BUILD)/bpf/peregrine.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name peregrine_bpf > $@

$(BUILD)/userspace/publish/fastpath.o $(BUILD)/userspace/publish/types.o: $(SKELETON)

$(BUILD)/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c $< -o $@

clean:
	$(Q)rm -rf build

-include $(shell [ -d $(BUILD) ] && find $(BUILD) -name '*.d')
