# SPDX-License-Identifier: GPL-2.0-or-later
#
# make            the program: build/weft
# make test       sets up what is missing, builds everything, runs every suite (tests/run-all)
# make check      lint and format check;  make format mends the format
# make unit | replay | asan | fuzz | e2e | kernels    one suite
# make demo       sets up what is missing, starts a small shop, traces it
# make bench      what weft costs, as a table
# make accuracy   how often the parent is right, under load, as a table
#
# A build lives below $(BUILD): build/ is the ordinary one, build/asan and build/fuzz are the same sources with other
# flags. bpf/build.mk and exporter/build.mk say how generated files are made.

BUILD ?= build
PREFIX ?= /usr/local
CLANG ?= clang-14
LLVM_STRIP ?= llvm-strip-14
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
CLANG_FORMAT ?= clang-format-14
CLANG_TIDY ?= clang-tidy-14
FUZZ_SECONDS ?= 10

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# All processors, where the user did not say how many.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 \
	-Wno-format-nonliteral
ifneq ($(CI)$(WERROR),)
WARN += -Werror
endif
ifeq ($(origin CFLAGS),undefined)
CFLAGS := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
# What every event and every span goes through (7 % fewer instructions). Without room between its parts more of it is in
# the processor's cache at once (30 % fewer misses there).
HOT_FLAGS = $(if $(filter user/lib/ user/source/ user/conn/ user/proto/ user/span/ user/trace/ exporter/,$(dir $<)), \
	-O3 -falign-jumps=1 -falign-loops=1 -falign-labels=1)
endif
INCLUDES = -I. -I$(BUILD) $(EXPORTER_CFLAGS)
WEFT_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(SAN_FLAGS) $(INCLUDES)
LDLIBS = -lbpf -lelf -llzma -lnghttp2 $(EXPORTER_LIBS) -lpthread
# Loaded when they are first needed (user/lib/on_demand.h): not linked.
ON_DEMAND := curl isal capstone pcap websockets

-include bpf/build.mk
-include exporter/build.mk
# Generated headers, which must be there before anything is compiled, and generated C files; all below $(BUILD).
GEN_HDRS := $(BUILD)/bpf/weft.skel.h $(BUILD)/sonames.h $(EXPORTER_GEN_HDRS)
GEN_SRCS := $(EXPORTER_GEN_SRCS)

# user/main.c alone is not in the library: unit tests and fuzz targets link all the rest.
SRCS := $(sort $(wildcard user/*/*.c exporter/*.c))
OBJS := $(SRCS:%.c=$(BUILD)/obj/%.o) $(GEN_SRCS:$(BUILD)/%.c=$(BUILD)/obj/gen/%.o) \
	$(BUILD)/obj/user/probe/node_helper_script.o
LIB := $(BUILD)/libweft.a
PROGRAM := $(if $(wildcard user/main.c),$(BUILD)/weft)

# One program a file: a suite that crashes or does not build takes no other with it. tests/lib is linked into each.
TEST_LIB := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/lib/*.c))
UNIT := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c tests/proto/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all setup test test-build check unit replay asan fuzz fuzz-run e2e kernels demo bench accuracy install format \
	format-check lint vmlinux clean lib unit-programs kernel-programs asan-programs fuzz-programs fuzz-programs-here

all: $(LIB) $(PROGRAM)
lib: $(LIB)

$(BUILD)/weft: $(BUILD)/obj/user/main.o $(LIB)
	$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(OBJS)
	rm -f $@
	ar rcs $@ $(OBJS)

# Under which names they are found at run time.
$(BUILD)/sonames.h: Makefile
	@mkdir -p $(@D)
	for l in $(ON_DEMAND); do \
		name=$$(readelf -d "$$($(CC) -print-file-name=lib$$l.so)" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p'); \
		[ "$$name" ] || { echo "lib$$l.so: not found, or without a name (tools/setup)" >&2; exit 1; }; \
		echo "#define SONAME_$$l \"$$name\""; \
	done >$@

# A script that goes into the program, as a string: node_helper_script.
$(BUILD)/obj/user/probe/node_helper_script.o: user/probe/node_helper.js
	@mkdir -p $(@D)
	printf '%s\n' '.section .rodata' '.global node_helper_script' 'node_helper_script: .incbin "$<"' '.byte 0' \
		'.section .note.GNU-stack,"",@progbits' | $(CC) -c -x assembler - -o $@

$(BUILD)/obj/%.o: %.c | $(GEN_HDRS)
	@mkdir -p $(@D)
	$(CC) $(WEFT_CFLAGS) $(HOT_FLAGS) -MMD -MP -c -o $@ $<

# Generated code is not ours to keep free of warnings.
$(BUILD)/obj/gen/%.o: $(BUILD)/%.c | $(GEN_HDRS)
	@mkdir -p $(@D)
	$(CC) $(WEFT_CFLAGS) -w -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(TEST_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcapstone -lcriterion

$(BUILD)/tests/proto/%: $(BUILD)/obj/tests/proto/%.o $(TEST_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

$(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What tests/kernels runs under each back end and kernel.
KERNEL_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kernels/*.c))
$(BUILD)/tests/kernels/%: $(BUILD)/obj/tests/kernels/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Test programs' objects are kept, so that only what changed is built again.
.SECONDARY:

unit-programs: $(UNIT)
kernel-programs: $(KERNEL_TESTS)
fuzz-programs-here: $(FUZZ)

# The same sources with the sanitizers; the recover flag makes any undefined behaviour an error.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan-programs:
	+$(MAKE) BUILD=build/asan CFLAGS='-O1 -g' SAN_FLAGS='$(SANITIZE)' all unit-programs
fuzz-programs:
	+$(MAKE) BUILD=build/fuzz CC=$(CLANG) CFLAGS='-O1 -g' SAN_FLAGS='$(SANITIZE) -fsanitize=fuzzer-no-link' \
		fuzz-programs-here

setup:
	@tools/setup

test-build: all unit-programs kernel-programs asan-programs fuzz-programs

test:
	@tools/setup
	+$(MAKE) test-build
	tests/run-all

unit: all unit-programs
	tests/run-all unit
replay: all
	tests/run-all replay
asan: asan-programs
	tests/run-all asan
fuzz: fuzz-programs
	FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run-all fuzz
e2e: all
	tests/run-all e2e
kernels: all kernel-programs
	tests/run-all kernels

demo:
	@tools/setup
	+@$(MAKE) --silent all
	@tools/demo

bench: all kernel-programs
	@tools/bench

accuracy: all
	@tools/accuracy

# Where C files of ours are; what is generated is left alone.
OURS = $(wildcard bpf/*.[ch] user/*.c user/*/*.[ch] exporter/*.[ch] tests/*/*.[ch])

check: lint format-check

format:
	$(CLANG_FORMAT) -i $(OURS)
format-check:
	$(CLANG_FORMAT) --dry-run --Werror $(OURS)

LINT := $(SRCS) $(wildcard user/main.c)
lint: $(LINT:%=$(BUILD)/lint/%.ok)
	cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
		-D'LIBBPF_OPTS(type, name, ...)=struct type name = { 0 }' \
		-D__x86_64__ --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -I. $(LINT)

$(BUILD)/lint/%.ok: % .clang-tidy | $(GEN_HDRS)
	@mkdir -p $(@D)
	$(CLANG_TIDY) --quiet --warnings-as-errors='*' $< -- -std=gnu11 -D_GNU_SOURCE $(INCLUDES)
	@touch $@

vmlinux:
	tools/vmlinux

install: all
	install -D -m 755 $(BUILD)/weft $(DESTDIR)$(PREFIX)/bin/weft
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/weft/LICENSE

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(BUILD)/obj/user/main.d $(wildcard $(BUILD)/obj/tests/*/*.d)
