# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel side: one file a concern, compiled as one (bpf/weft.bpf.c), with its skeleton. Uses BUILD, CLANG, BPFTOOL, ARCH.

CLANG ?= clang
BPFTOOL ?= bpftool
LLVM_STRIP ?= llvm-strip
ARCH ?= x86

BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_HDR := $(wildcard bpf/*.h) vmlinux/$(ARCH)/vmlinux.h
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Werror -D__TARGET_ARCH_$(ARCH) -I. -Ibpf -Ivmlinux/$(ARCH)

$(BUILD)/bpf/weft.o: $(BPF_SRC) $(BPF_HDR) bpf/build.mk
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c bpf/weft.bpf.c -o $@
	$(LLVM_STRIP) -g $@

$(BUILD)/bpf/weft.bpf.o: $(BUILD)/bpf/weft.o
	$(BPFTOOL) gen object $@ $^

$(BUILD)/bpf/weft.skel.h: $(BUILD)/bpf/weft.bpf.o
	$(BPFTOOL) gen skeleton $< name weft_bpf > $@.tmp
	mv $@.tmp $@
