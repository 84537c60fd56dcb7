# SPDX-License-Identifier: GPL-2.0-or-later
#
# exporter/: part of the top Makefile, which sets BUILD and CFLAGS. Gives: EXPORTER_SRCS (ours),
# EXPORTER_GEN_SRCS and EXPORTER_GEN_HDRS (made by protoc-c; every object that includes one must
# wait for them: `$(objects): | $(EXPORTER_GEN_HDRS)`), EXPORTER_CFLAGS, EXPORTER_GEN_CFLAGS (for
# EXPORTER_GEN_SRCS), EXPORTER_LIBS.

PROTOC_C ?= protoc-c

EXPORTER_SRCS := $(sort $(wildcard exporter/*.c))

EXPORTER_PROTO_DIR := exporter/proto
EXPORTER_PROTOS := \
	google/rpc/status.proto \
	opentelemetry/proto/common/v1/common.proto \
	opentelemetry/proto/resource/v1/resource.proto \
	opentelemetry/proto/trace/v1/trace.proto \
	opentelemetry/proto/collector/trace/v1/trace_service.proto

EXPORTER_GEN_DIR := $(BUILD)/proto
EXPORTER_GEN_SRCS := $(EXPORTER_PROTOS:%.proto=$(EXPORTER_GEN_DIR)/%.pb-c.c)
EXPORTER_GEN_HDRS := $(EXPORTER_GEN_SRCS:.c=.h)

# For the generated sources only: protoc-c's initialisers leave braces out, and it knows no other
# warnings of ours.
EXPORTER_GEN_CFLAGS := -w
EXPORTER_CFLAGS := -I$(EXPORTER_GEN_DIR)
EXPORTER_LIBS := -lprotobuf-c -ljansson -lz

# One run makes both files of a .proto; the imports of one are few, so all are remade when any
# changes.
$(EXPORTER_GEN_DIR)/%.pb-c.c $(EXPORTER_GEN_DIR)/%.pb-c.h: $(EXPORTER_PROTO_DIR)/%.proto \
		$(EXPORTER_PROTOS:%=$(EXPORTER_PROTO_DIR)/%)
	@mkdir -p $(EXPORTER_GEN_DIR)
	$(PROTOC_C) -I$(EXPORTER_PROTO_DIR) --c_out=$(EXPORTER_GEN_DIR) $<
