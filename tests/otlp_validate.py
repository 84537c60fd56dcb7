#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks what weft exports against the OTLP field tables, without any of weft's or protobuf's code.

Reads protobuf bytes by hand and OTLP/JSON with the standard library, brings both into the same form
(dicts with the table's snake_case names), and checks that form.

    otlp_validate.py --jsonl FILE        one ExportTraceServiceRequest a line, as JSON
    otlp_validate.py --protobuf FILE...  one ExportTraceServiceRequest a file (gzip is seen through)

FILE may be - for standard input. Prints one line a problem. Exit status: 0 none, 1 some, 2 can't be
read.

    --no-pid           resources need no process.pid (packet captures)
    --open-parents     a parent that is not here and not marked remote is no problem

As a module: decode_trace_request(bytes), decode_json_line(text), flat_spans(request), Validator.
"""
import argparse
import base64
import gzip
import json
import re
import struct
import sys

# Field tables: number -> (name, type, repeated). Types in capitals are messages or enums.
TABLES = {
    "ExportTraceServiceRequest": {1: ("resource_spans", "ResourceSpans", True)},
    "ResourceSpans": {
        1: ("resource", "Resource", False),
        2: ("scope_spans", "ScopeSpans", True),
        3: ("schema_url", "string", False),
    },
    "Resource": {
        1: ("attributes", "KeyValue", True),
        2: ("dropped_attributes_count", "uint32", False),
        3: ("entity_refs", "EntityRef", True),
    },
    "EntityRef": {
        1: ("schema_url", "string", False),
        2: ("type", "string", False),
        3: ("id_keys", "string", True),
        4: ("description_keys", "string", True),
    },
    "ScopeSpans": {
        1: ("scope", "InstrumentationScope", False),
        2: ("spans", "Span", True),
        3: ("schema_url", "string", False),
    },
    "InstrumentationScope": {
        1: ("name", "string", False),
        2: ("version", "string", False),
        3: ("attributes", "KeyValue", True),
        4: ("dropped_attributes_count", "uint32", False),
    },
    "Span": {
        1: ("trace_id", "bytes", False),
        2: ("span_id", "bytes", False),
        3: ("trace_state", "string", False),
        4: ("parent_span_id", "bytes", False),
        5: ("name", "string", False),
        6: ("kind", "SpanKind", False),
        7: ("start_time_unix_nano", "fixed64", False),
        8: ("end_time_unix_nano", "fixed64", False),
        9: ("attributes", "KeyValue", True),
        10: ("dropped_attributes_count", "uint32", False),
        11: ("events", "Event", True),
        12: ("dropped_events_count", "uint32", False),
        13: ("links", "Link", True),
        14: ("dropped_links_count", "uint32", False),
        15: ("status", "Status", False),
        16: ("flags", "fixed32", False),
    },
    "Event": {
        1: ("time_unix_nano", "fixed64", False),
        2: ("name", "string", False),
        3: ("attributes", "KeyValue", True),
        4: ("dropped_attributes_count", "uint32", False),
    },
    "Link": {
        1: ("trace_id", "bytes", False),
        2: ("span_id", "bytes", False),
        3: ("trace_state", "string", False),
        4: ("attributes", "KeyValue", True),
        5: ("dropped_attributes_count", "uint32", False),
        6: ("flags", "fixed32", False),
    },
    "Status": {2: ("message", "string", False), 3: ("code", "StatusCode", False)},
    "KeyValue": {1: ("key", "string", False), 2: ("value", "AnyValue", False)},
    "AnyValue": {
        1: ("string_value", "string", False),
        2: ("bool_value", "bool", False),
        3: ("int_value", "int64", False),
        4: ("double_value", "double", False),
        5: ("array_value", "ArrayValue", False),
        6: ("kvlist_value", "KeyValueList", False),
        7: ("bytes_value", "bytes", False),
    },
    "ArrayValue": {1: ("values", "AnyValue", True)},
    "KeyValueList": {1: ("values", "KeyValue", True)},
}
ENUMS = {"SpanKind": range(0, 6), "StatusCode": range(0, 3)}
ONEOF = {"AnyValue"}
VARINT, I64, LEN, I32 = 0, 1, 2, 5
WIRE = {"string": LEN, "bytes": LEN, "bool": VARINT, "int64": VARINT, "uint32": VARINT,
        "double": I64, "fixed64": I64, "fixed32": I32}
HEX_IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
SCHEMA_PREFIX = "https://opentelemetry.io/schemas/"
MAX_DEPTH = 64


class Problems:
    """Where decoders and checks put what they find; without a list, the first is an exception."""

    def __init__(self, found=None):
        self.found = found

    def add(self, where, what):
        if self.found is None:
            raise ValueError(f"{where}: {what}")
        self.found.append(f"{where}: {what}")


# ---- protobuf, by hand ----

def read_varint(data, at, end):
    value = 0
    for i in range(10):
        if at >= end:
            raise ValueError("varint is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            if value >> 64:
                raise ValueError("varint above 64 bits")
            return value, at
    raise ValueError("varint longer than 10 bytes")


def read_wire(data, at, end):
    """(field number, wire type, value, new position)"""
    key, at = read_varint(data, at, end)
    number, wire = key >> 3, key & 7
    if wire == VARINT:
        value, at = read_varint(data, at, end)
        return number, wire, value, at
    if wire == LEN:
        size, at = read_varint(data, at, end)
    elif wire in (I64, I32):
        size = 8 if wire == I64 else 4
    else:
        raise ValueError(f"field {number}: wire type {wire} is not used by OTLP")
    if size > end - at:
        raise ValueError(f"field {number}: {size} bytes announced, {end - at} there")
    return number, wire, data[at:at + size], at + size


def from_wire(kind, raw, where, problems, depth):
    if kind in TABLES:
        return decode_message(raw, kind, where, problems, depth + 1)
    if kind in ENUMS:
        return raw
    if kind == "string":
        try:
            return bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            problems.add(where, "string is not UTF-8")
            return bytes(raw).decode("utf-8", "replace")
    if kind == "bytes":
        return bytes(raw)
    if kind == "bool":
        if raw not in (0, 1):
            problems.add(where, f"bool is {raw}")
        return bool(raw)
    if kind == "int64":
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == "uint32":
        if raw >> 32:
            problems.add(where, f"uint32 is {raw}")
        return raw
    return struct.unpack({"double": "<d", "fixed64": "<Q", "fixed32": "<I"}[kind], raw)[0]


def decode_message(data, message, where, problems, depth=0):
    out = {}
    at, end = 0, len(data)
    if depth > MAX_DEPTH:
        raise ValueError(f"{where}: nested too deeply")
    while at < end:
        number, wire, raw, at = read_wire(data, at, end)
        if number not in TABLES[message]:
            problems.add(where, f"{message} has no field {number}")
            continue
        name, kind, repeated = TABLES[message][number]
        expected = LEN if kind in TABLES else VARINT if kind in ENUMS else WIRE[kind]
        if wire != expected:
            problems.add(where, f"{message}.{name}: wire type {wire}, not {expected}")
            continue
        spot = f"{where}.{name}" + (f"[{len(out.get(name, []))}]" if repeated else "")
        value = from_wire(kind, raw, spot, problems, depth)
        if repeated:
            out.setdefault(name, []).append(value)
            continue
        if name in out or (message in ONEOF and out):
            problems.add(spot, "set twice")
        out[name] = value
    return out


def decode_trace_request(data, problems=None, where="request"):
    """An ExportTraceServiceRequest from protobuf bytes, gzip or not. ValueError if it is none.

    `problems`: a list that gets what is wrong but readable; without it that is a ValueError too.
    """
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return decode_message(memoryview(data), "ExportTraceServiceRequest", where, Problems(problems))


# ---- JSON ----

def camel(name):
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


JSON_NAMES = {message: {camel(field[0]): field for field in table.values()}
              for message, table in TABLES.items()}


def no_twins(pairs):
    out = {}
    for key, value in pairs:
        if key in out:
            raise ValueError(f"key {key!r} twice in one object")
        out[key] = value
    return out


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def json_integer(kind, value, where, problems):
    low, high = {"int64": (-(1 << 63), (1 << 63) - 1), "fixed64": (0, (1 << 64) - 1),
                 "uint32": (0, (1 << 32) - 1), "fixed32": (0, (1 << 32) - 1)}[kind]
    if kind in ("int64", "fixed64"):
        if not isinstance(value, str) or not re.fullmatch(r"-?(0|[1-9][0-9]*)", value):
            problems.add(where, f"64-bit integers are decimal strings, not {value!r}")
            return 0
        value = int(value)
    elif not is_int(value):
        problems.add(where, f"32-bit integers are numbers, not {value!r}")
        return 0
    if not low <= value <= high:
        problems.add(where, f"{value} is not a {kind}")
    return value


def json_bytes(name, value, where, problems):
    if not isinstance(value, str):
        problems.add(where, f"expected text, not {value!r}")
        return b""
    if name not in HEX_IDS:
        return base64.b64decode(value, validate=True)
    if not re.fullmatch(r"([0-9a-f]{2})+", value):
        problems.add(where, f"expected lowercase hex, not {value!r}")
        return b""
    return bytes.fromhex(value)


def from_json(name, kind, value, where, problems, depth):
    if kind in TABLES:
        return decode_object(value, kind, where, problems, depth + 1)
    if kind in ENUMS:
        if not is_int(value):
            problems.add(where, f"enums are integers, not {value!r}")
            return 0
        return value
    if kind == "bytes":
        return json_bytes(name, value, where, problems)
    if kind == "string":
        if not isinstance(value, str):
            problems.add(where, f"expected text, not {value!r}")
            return ""
        if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            problems.add(where, "text holds half a surrogate pair")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            problems.add(where, f"expected true or false, not {value!r}")
        return bool(value)
    if kind == "double":
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value.replace("Infinity", "inf"))
        if not is_int(value) and not isinstance(value, float):
            problems.add(where, f"expected a number, not {value!r}")
            return 0.0
        return float(value)
    return json_integer(kind, value, where, problems)


def decode_object(value, message, where, problems, depth=0):
    out = {}
    if depth > MAX_DEPTH:
        raise ValueError(f"{where}: nested too deeply")
    if not isinstance(value, dict):
        problems.add(where, f"expected an object ({message}), not {type(value).__name__}")
        return out
    for key, member in value.items():
        if key not in JSON_NAMES[message]:
            problems.add(where, f"{message} has no key {key!r}")
            continue
        name, kind, repeated = JSON_NAMES[message][key]
        spot = f"{where}.{key}"
        if not repeated:
            if message in ONEOF and out:
                problems.add(spot, "more than one value is set")
            out[name] = from_json(name, kind, member, spot, problems, depth)
        elif not isinstance(member, list):
            problems.add(spot, "expected an array")
        else:
            out[name] = [from_json(name, kind, m, f"{spot}[{i}]", problems, depth)
                         for i, m in enumerate(member)]
    return out


def bad_constant(text):
    raise ValueError(f"{text} is not JSON")


def decode_json_line(text, problems=None, where="request"):
    """The same from one line of OTLP/JSON."""
    value = json.loads(text, object_pairs_hook=no_twins, parse_constant=bad_constant)
    return decode_object(value, "ExportTraceServiceRequest", where, Problems(problems))


# ---- what must hold in both ----

def plain_value(any_value):
    for name, value in any_value.items():
        if name == "array_value":
            return [plain_value(v) for v in value.get("values", [])]
        if name == "kvlist_value":
            return plain_attributes(value.get("values", []))
        return value
    return None


def plain_attributes(attributes):
    return {kv.get("key", ""): plain_value(kv.get("value", {})) for kv in attributes}


def flat_spans(request):
    """Each span of a request as one flat dict; ids are hex text, parent_id is "" at a root."""
    for rs in request.get("resource_spans", []):
        resource = plain_attributes(rs.get("resource", {}).get("attributes", []))
        for ss in rs.get("scope_spans", []):
            for span in ss.get("spans", []):
                status = span.get("status", {})
                yield {
                    "trace_id": span.get("trace_id", b"").hex(),
                    "span_id": span.get("span_id", b"").hex(),
                    "parent_id": span.get("parent_span_id", b"").hex(),
                    "name": span.get("name", ""),
                    "kind": span.get("kind", 0),
                    "start": span.get("start_time_unix_nano", 0),
                    "end": span.get("end_time_unix_nano", 0),
                    "flags": span.get("flags", 0),
                    "trace_state": span.get("trace_state", ""),
                    "status": status.get("code", 0),
                    "status_message": status.get("message", ""),
                    "attributes": plain_attributes(span.get("attributes", [])),
                    "links": [(link.get("trace_id", b"").hex(), link.get("span_id", b"").hex())
                              for link in span.get("links", [])],
                    "resource": resource,
                }


TRACESTATE_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}"
                               r"[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


class Validator:
    """Feed it requests, then ask finish() for the problems.

    Parents and double ids are looked for over all requests."""

    def __init__(self, need_pid=True, open_parents=False):
        self.need_pid = need_pid
        self.open_parents = open_parents
        self.problems = []
        self.requests = 0
        self.spans = {}    # (trace id, span id) -> where
        self.parents = []  # (where, trace id, parent id, flags)
        self._add = Problems(self.problems).add

    def protobuf(self, data, where=None):
        self._take(decode_trace_request, data, where)

    def json_line(self, text, where=None):
        self._take(decode_json_line, text, where)

    def _take(self, decode, data, where):
        self.requests += 1
        where = where or f"request {self.requests}"
        try:
            request = decode(data, self.problems, where)
        except (ValueError, EOFError, OSError) as e:
            self._add(where, f"can't be decoded: {e}")
            return
        self.request(request, where)

    def request(self, request, where):
        if not request.get("resource_spans"):
            self._add(where, "an empty request")
        for i, rs in enumerate(request.get("resource_spans", [])):
            spot = f"{where}.resource_spans[{i}]"
            self._resource(rs.get("resource"), spot)
            self._schema_url(rs, spot)
            if not rs.get("scope_spans"):
                self._add(spot, "no scope_spans")
            for k, ss in enumerate(rs.get("scope_spans", [])):
                self._scope_spans(ss, f"{spot}.scope_spans[{k}]")

    def _resource(self, resource, where):
        if resource is None:
            self._add(where, "no resource")
            return
        self._attributes(resource.get("attributes", []), where + ".resource")
        values = plain_attributes(resource.get("attributes", []))
        name, pid = values.get("service.name"), values.get("process.pid")
        if not isinstance(name, str) or not name:
            self._add(where, f"service.name is {name!r}")
        if pid is None:
            if self.need_pid:
                self._add(where, "no process.pid")
        elif not is_int(pid) or pid <= 0:
            self._add(where, f"process.pid is {pid!r}")

    def _schema_url(self, message, where):
        if not message.get("schema_url", "").startswith(SCHEMA_PREFIX):
            self._add(where, f"schema_url is {message.get('schema_url')!r}")

    def _scope_spans(self, ss, where):
        scope = ss.get("scope", {})
        if not scope.get("name") or not scope.get("version"):
            self._add(where, f"scope is {scope!r}")
        self._schema_url(ss, where)
        if not ss.get("spans"):
            self._add(where, "no spans")
        for i, span in enumerate(ss.get("spans", [])):
            self._span(span, f"{where}.spans[{i}]")

    def _id(self, message, name, where):
        value = message.get(name, b"")
        if len(value) != HEX_IDS[name] or not any(value):
            self._add(where, f"{name} is {value.hex()!r}")
        return value

    def _span(self, span, where):
        trace_id, span_id = self._id(span, "trace_id", where), self._id(span, "span_id", where)
        where += f" ({trace_id.hex()}/{span_id.hex()} {span.get('name', '')!r})"
        flags = span.get("flags", 0)
        if (trace_id, span_id) in self.spans:
            self._add(where, f"same ids as {self.spans[trace_id, span_id]}")
        self.spans[trace_id, span_id] = where
        if "parent_span_id" in span:
            parent = self._id(span, "parent_span_id", where)
            if parent == span_id:
                self._add(where, "is its own parent")
            self.parents.append((where, trace_id, parent, flags))
        elif flags & 0x200:
            self._add(where, "flags speak of a remote parent, and there is no parent")
        self._flags(flags, where)
        self._trace_state(span, where)
        self._times_and_kind(span, where)
        self._attributes(span.get("attributes", []), where)
        self._status(span.get("status"), where)
        for i, event in enumerate(span.get("events", [])):
            if not event.get("name"):
                self._add(f"{where}.events[{i}]", "no name")
            self._attributes(event.get("attributes", []), f"{where}.events[{i}]")
        for i, link in enumerate(span.get("links", [])):
            self._link(link, f"{where}.links[{i}]")

    def _link(self, link, where):
        self._id(link, "trace_id", where)
        self._id(link, "span_id", where)
        self._flags(link.get("flags", 0), where)
        self._trace_state(link, where)
        self._attributes(link.get("attributes", []), where)

    def _flags(self, flags, where):
        if flags >> 10:
            self._add(where, f"flags {flags:#x} has bits above 9")
        if flags & 0x300 == 0x200:
            self._add(where, f"flags {flags:#x}: is-remote without has-is-remote")
        if flags & 0xFC:
            self._add(where, f"flags {flags:#x} has W3C bits that are not known")

    def _trace_state(self, message, where):
        text = message.get("trace_state", "")
        if not text:
            return
        members = text.split(",")
        if len(members) > 32 or not all(TRACESTATE_MEMBER.fullmatch(m) for m in members):
            self._add(where, f"trace_state is {text!r}")
        keys = [m.partition("=")[0] for m in members]
        if len(set(keys)) != len(keys):
            self._add(where, f"trace_state has a key twice: {text!r}")

    def _times_and_kind(self, span, where):
        start, end = span.get("start_time_unix_nano", 0), span.get("end_time_unix_nano", 0)
        if start == 0:
            self._add(where, "no start time")
        if end < start:
            self._add(where, f"ends {start - end} ns before it starts")
        if not span.get("name"):
            self._add(where, "no name")
        kind = span.get("kind", 0)
        if kind == 0 or kind not in ENUMS["SpanKind"]:
            self._add(where, f"kind is {kind}")

    def _status(self, status, where):
        if status is None:
            return
        code = status.get("code", 0)
        if code not in ENUMS["StatusCode"]:
            self._add(where, f"status code is {code}")
        if status.get("message") and code != 2:
            self._add(where, "status message without ERROR")

    def _attributes(self, attributes, where):
        seen = set()
        for kv in attributes:
            key = kv.get("key", "")
            if not key:
                self._add(where, "attribute without a key")
            if key in seen:
                self._add(where, f"attribute {key!r} twice")
            seen.add(key)
            if not kv.get("value"):
                self._add(where, f"attribute {key!r} has no value")

    def finish(self):
        """The problems, as lines."""
        if not self.open_parents:
            for where, trace_id, parent, flags in self.parents:
                if (trace_id, parent) not in self.spans and flags & 0x300 != 0x300:
                    self._add(where, f"parent {parent.hex()} is not here and not marked remote")
        return self.problems


def read_file(path):
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as f:
        return f.read()


def main():
    parser = argparse.ArgumentParser(description="Check OTLP trace data against the field tables.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--jsonl", metavar="FILE")
    what.add_argument("--protobuf", metavar="FILE", nargs="+")
    parser.add_argument("--no-pid", action="store_true")
    parser.add_argument("--open-parents", action="store_true")
    args = parser.parse_args()
    validator = Validator(not args.no_pid, args.open_parents)
    try:
        if args.jsonl:
            for number, line in enumerate(read_file(args.jsonl).split(b"\n"), 1):
                if line:
                    validator.json_line(line, f"line {number}")
        else:
            for path in args.protobuf:
                validator.protobuf(read_file(path), path)
    except OSError as e:
        print(f"otlp_validate: {e}", file=sys.stderr)
        return 2
    problems = validator.finish()
    for problem in problems:
        print(problem)
    print(f"{validator.requests} requests, {len(validator.spans)} spans, {len(problems)} problems",
          file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
