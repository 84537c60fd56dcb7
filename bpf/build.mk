# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel side: one object a concern, linked into one, with its skeleton. Uses BUILD, CLANG, BPFTOOL, ARCH.

CLANG ?= clang
BPFTOOL ?= bpftool
LLVM_STRIP ?= llvm-strip
ARCH ?= x86

BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_HDR := $(wildcard bpf/*.h) vmlinux/$(ARCH)/vmlinux.h
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Werror -D__TARGET_ARCH_$(ARCH) -I. -Ibpf -Ivmlinux/$(ARCH)

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_HDR) bpf/build.mk
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@
	$(LLVM_STRIP) -g $@

$(BUILD)/bpf/weft.bpf.o: $(BPF_OBJ)
	$(BPFTOOL) gen object $@ $^

$(BUILD)/bpf/weft.skel.h: $(BUILD)/bpf/weft.bpf.o
	$(BPFTOOL) gen skeleton $< name weft_bpf > $@.tmp
	mv $@.tmp $@
