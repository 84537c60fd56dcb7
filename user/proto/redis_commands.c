// SPDX-License-Identifier: GPL-2.0-or-later
#include "redis_commands.h"

#include <stdlib.h>

/* In ASCII order: searched by halves. */
static const char *const commands[] = {
	"ACL",
	"APPEND",
	"ASKING",
	"AUTH",
	"BGREWRITEAOF",
	"BGSAVE",
	"BITCOUNT",
	"BITFIELD",
	"BITFIELD_RO",
	"BITOP",
	"BITPOS",
	"BLMOVE",
	"BLMPOP",
	"BLPOP",
	"BRPOP",
	"BRPOPLPUSH",
	"BZMPOP",
	"BZPOPMAX",
	"BZPOPMIN",
	"CLIENT",
	"CLUSTER",
	"COMMAND",
	"CONFIG",
	"COPY",
	"DBSIZE",
	"DEBUG",
	"DECR",
	"DECRBY",
	"DEL",
	"DELEX",
	"DIGEST",
	"DISCARD",
	"DUMP",
	"ECHO",
	"EVAL",
	"EVALSHA",
	"EVALSHA_RO",
	"EVAL_RO",
	"EXEC",
	"EXISTS",
	"EXPIRE",
	"EXPIREAT",
	"EXPIRETIME",
	"FAILOVER",
	"FCALL",
	"FCALL_RO",
	"FLUSHALL",
	"FLUSHDB",
	"FUNCTION",
	"GEOADD",
	"GEODIST",
	"GEOHASH",
	"GEOPOS",
	"GEORADIUS",
	"GEORADIUSBYMEMBER",
	"GEORADIUSBYMEMBER_RO",
	"GEORADIUS_RO",
	"GEOSEARCH",
	"GEOSEARCHSTORE",
	"GET",
	"GETBIT",
	"GETDEL",
	"GETEX",
	"GETRANGE",
	"GETSET",
	"HDEL",
	"HELLO",
	"HEXISTS",
	"HEXPIRE",
	"HEXPIREAT",
	"HEXPIRETIME",
	"HGET",
	"HGETALL",
	"HGETDEL",
	"HGETEX",
	"HINCRBY",
	"HINCRBYFLOAT",
	"HKEYS",
	"HLEN",
	"HMGET",
	"HMSET",
	"HPERSIST",
	"HPEXPIRE",
	"HPEXPIREAT",
	"HPEXPIRETIME",
	"HPTTL",
	"HRANDFIELD",
	"HSCAN",
	"HSET",
	"HSETEX",
	"HSETNX",
	"HSTRLEN",
	"HTTL",
	"HVALS",
	"INCR",
	"INCRBY",
	"INCRBYFLOAT",
	"INFO",
	"KEYS",
	"LASTSAVE",
	"LATENCY",
	"LCS",
	"LINDEX",
	"LINSERT",
	"LLEN",
	"LMOVE",
	"LMPOP",
	"LOLWUT",
	"LPOP",
	"LPOS",
	"LPUSH",
	"LPUSHX",
	"LRANGE",
	"LREM",
	"LSET",
	"LTRIM",
	"MEMORY",
	"MGET",
	"MIGRATE",
	"MODULE",
	"MONITOR",
	"MOVE",
	"MSET",
	"MSETEX",
	"MSETNX",
	"MULTI",
	"OBJECT",
	"PERSIST",
	"PEXPIRE",
	"PEXPIREAT",
	"PEXPIRETIME",
	"PFADD",
	"PFCOUNT",
	"PFDEBUG",
	"PFMERGE",
	"PFSELFTEST",
	"PING",
	"PSETEX",
	"PSUBSCRIBE",
	"PSYNC",
	"PTTL",
	"PUBLISH",
	"PUBSUB",
	"PUNSUBSCRIBE",
	"QUIT",
	"RANDOMKEY",
	"READONLY",
	"READWRITE",
	"RENAME",
	"RENAMENX",
	"REPLCONF",
	"REPLICAOF",
	"RESET",
	"RESTORE",
	"RESTORE-ASKING",
	"ROLE",
	"RPOP",
	"RPOPLPUSH",
	"RPUSH",
	"RPUSHX",
	"SADD",
	"SAVE",
	"SCAN",
	"SCARD",
	"SCRIPT",
	"SDIFF",
	"SDIFFSTORE",
	"SELECT",
	"SENTINEL",
	"SET",
	"SETBIT",
	"SETEX",
	"SETNX",
	"SETRANGE",
	"SHUTDOWN",
	"SINTER",
	"SINTERCARD",
	"SINTERSTORE",
	"SISMEMBER",
	"SLAVEOF",
	"SLOWLOG",
	"SMEMBERS",
	"SMISMEMBER",
	"SMOVE",
	"SORT",
	"SORT_RO",
	"SPOP",
	"SPUBLISH",
	"SRANDMEMBER",
	"SREM",
	"SSCAN",
	"SSUBSCRIBE",
	"STRLEN",
	"SUBSCRIBE",
	"SUBSTR",
	"SUNION",
	"SUNIONSTORE",
	"SUNSUBSCRIBE",
	"SWAPDB",
	"SYNC",
	"TIME",
	"TOUCH",
	"TTL",
	"TYPE",
	"UNLINK",
	"UNSUBSCRIBE",
	"UNWATCH",
	"VADD",
	"VCARD",
	"VDIM",
	"VEMB",
	"VGETATTR",
	"VINFO",
	"VISMEMBER",
	"VLINKS",
	"VRANDMEMBER",
	"VREM",
	"VSETATTR",
	"VSIM",
	"WAIT",
	"WAITAOF",
	"WATCH",
	"XACK",
	"XACKDEL",
	"XADD",
	"XAUTOCLAIM",
	"XCLAIM",
	"XDEL",
	"XDELEX",
	"XGROUP",
	"XINFO",
	"XLEN",
	"XPENDING",
	"XRANGE",
	"XREAD",
	"XREADGROUP",
	"XREVRANGE",
	"XSETID",
	"XTRIM",
	"ZADD",
	"ZCARD",
	"ZCOUNT",
	"ZDIFF",
	"ZDIFFSTORE",
	"ZINCRBY",
	"ZINTER",
	"ZINTERCARD",
	"ZINTERSTORE",
	"ZLEXCOUNT",
	"ZMPOP",
	"ZMSCORE",
	"ZPOPMAX",
	"ZPOPMIN",
	"ZRANDMEMBER",
	"ZRANGE",
	"ZRANGEBYLEX",
	"ZRANGEBYSCORE",
	"ZRANGESTORE",
	"ZRANK",
	"ZREM",
	"ZREMRANGEBYLEX",
	"ZREMRANGEBYRANK",
	"ZREMRANGEBYSCORE",
	"ZREVRANGE",
	"ZREVRANGEBYLEX",
	"ZREVRANGEBYSCORE",
	"ZREVRANK",
	"ZSCAN",
	"ZSCORE",
	"ZUNION",
	"ZUNIONSTORE",
};

/* Commands of modules begin with these. */
static const char *const modules[] = { "BF.",   "CF.",      "CMS.",  "FT.", "GRAPH.",
				       "JSON.", "TDIGEST.", "TOPK.", "TS." };

/* Subcommands, between spaces. */
static const struct {
	const char *name, *subs;
} containers[] = {
	{ "ACL", " CAT DELUSER DRYRUN GENPASS GETUSER HELP LIST LOAD LOG SAVE SETUSER USERS "
		 "WHOAMI " },
	{ "CLIENT", " CACHING CAPA GETNAME GETREDIR HELP ID IMPORT-SOURCE INFO KILL LIST "
		    "MAINT_NOTIFICATIONS NO-EVICT "
		    "NO-TOUCH PAUSE REPLY SETINFO SETNAME TRACKING TRACKINGINFO UNBLOCK UNPAUSE " },
	{ "CLUSTER", " ADDSLOTS ADDSLOTSRANGE BUMPEPOCH COUNT-FAILURE-REPORTS COUNTKEYSINSLOT "
		     "DELSLOTS DELSLOTSRANGE FAILOVER FLUSHSLOTS FORGET GETKEYSINSLOT HELP INFO "
		     "KEYSLOT LINKS MEET MYID MYSHARDID NODES REPLICAS REPLICATE RESET SAVECONFIG "
		     "SET-CONFIG-EPOCH SETSLOT SHARDS SLAVES SLOT-STATS SLOTS " },
	{ "COMMAND", " COUNT DOCS GETKEYS GETKEYSANDFLAGS HELP INFO LIST " },
	{ "CONFIG", " GET HELP RESETSTAT REWRITE SET " },
	{ "DEBUG", " CHANGE-REPL-ID DIGEST DIGEST-VALUE ERROR HELP JMAP LISTPACK LOG OBJECT "
		   "POPULATE PROTOCOL QUICKLIST-PACKED-THRESHOLD RELOAD SEGFAULT "
		   "SET-ACTIVE-EXPIRE SLEEP STRUCTSIZE " },
	{ "FUNCTION", " DELETE DUMP FLUSH HELP KILL LIST LOAD RESTORE STATS " },
	{ "LATENCY", " DOCTOR GRAPH HELP HISTOGRAM HISTORY LATEST RESET " },
	{ "MEMORY", " DOCTOR HELP MALLOC-STATS PURGE STATS USAGE " },
	{ "MODULE", " HELP LIST LOAD LOADEX UNLOAD " },
	{ "OBJECT", " ENCODING FREQ HELP IDLETIME REFCOUNT " },
	{ "PUBSUB", " CHANNELS HELP NUMPAT NUMSUB SHARDCHANNELS SHARDNUMSUB " },
	{ "SCRIPT", " DEBUG EXISTS FLUSH HELP KILL LOAD " },
	{ "SENTINEL",
	  " CKQUORUM CONFIG DEBUG FAILOVER FLUSHCONFIG GET-MASTER-ADDR-BY-NAME HELP "
	  "INFO-CACHE IS-MASTER-DOWN-BY-ADDR MASTER MASTERS MONITOR MYID PENDING-SCRIPTS "
	  "REMOVE REPLICAS RESET SENTINELS SET SIMULATE-FAILURE SLAVES " },
	{ "SLOWLOG", " GET HELP LEN RESET " },
	{ "XGROUP", " CREATE CREATECONSUMER DELCONSUMER DESTROY HELP SETID " },
	{ "XINFO", " CONSUMERS GROUPS HELP STREAM " },
};

/*
 * What common commands answer with, by the type that a reply begins with; errors and +QUEUED
 * besides. In ASCII order. Only those whose answers are the same whatever their arguments.
 */
static const struct answer {
	const char *name, *types;
} answers[] = {
	{ "APPEND", ":#" },   { "AUTH", "+" },       { "DBSIZE", ":#" },    { "DECR", ":#" },
	{ "DECRBY", ":#" },   { "DEL", ":#" },       { "DISCARD", "+" },    { "EXEC", "*_" },
	{ "EXISTS", ":#" },   { "EXPIRE", ":#" },    { "EXPIREAT", ":#" },  { "FLUSHALL", "+" },
	{ "FLUSHDB", "+" },   { "GET", "$_" },       { "GETDEL", "$_" },    { "GETEX", "$_" },
	{ "GETRANGE", "$_" }, { "GETSET", "$_" },    { "HDEL", ":#" },      { "HEXISTS", ":#" },
	{ "HGET", "$_" },     { "HGETALL", "*%" },   { "HINCRBY", ":#" },   { "HKEYS", "*" },
	{ "HLEN", ":#" },     { "HMGET", "*" },      { "HMSET", "+" },      { "HSCAN", "*" },
	{ "HSET", ":#" },     { "HSETNX", ":#" },    { "HVALS", "*" },      { "INCR", ":#" },
	{ "INCRBY", ":#" },   { "KEYS", "*" },       { "LLEN", ":#" },      { "LPUSH", ":#" },
	{ "LPUSHX", ":#" },   { "LRANGE", "*" },     { "LSET", "+" },       { "LTRIM", "+" },
	{ "MGET", "*" },      { "MSET", "+" },       { "MULTI", "+" },      { "PERSIST", ":#" },
	{ "PEXPIRE", ":#" },  { "PEXPIREAT", ":#" }, { "PFADD", ":#" },     { "PFCOUNT", ":#" },
	{ "PING", "+$*" },    { "PSETEX", "+" },     { "PTTL", ":#" },      { "PUBLISH", ":#" },
	{ "RPUSH", ":#" },    { "RPUSHX", ":#" },    { "SADD", ":#" },      { "SCAN", "*" },
	{ "SCARD", ":#" },    { "SELECT", "+" },     { "SET", "+$_" },      { "SETEX", "+" },
	{ "SETNX", ":#" },    { "SETRANGE", ":#" },  { "SISMEMBER", ":#" }, { "SMEMBERS", "*~" },
	{ "SREM", ":#" },     { "SSCAN", "*" },      { "STRLEN", ":#" },    { "TTL", ":#" },
	{ "UNLINK", ":#" },   { "UNWATCH", "+" },    { "WATCH", "+" },      { "XACK", ":#" },
	{ "XLEN", ":#" },     { "ZCARD", ":#" },     { "ZREM", ":#" },      { "ZSCAN", "*" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Upper case, NUL-terminated; false if it is longer than `room`. */
static bool upper(struct slice s, char *out, size_t room)
{
	if (s.n == 0 || s.n >= room)
		return false;
	for (size_t i = 0; i < s.n; i++)
		out[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - 32 : s.p[i]);
	out[s.n] = '\0';
	return true;
}

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

bool redis__is_command(struct slice name)
{
	char word[REDIS_NAME_MAX + 1];

	if (!upper(name, word, sizeof(word)))
		return false;
	if (bsearch(word, commands, COUNT(commands), sizeof(commands[0]), by_name))
		return true;
	for (size_t i = 0; i < COUNT(modules); i++) {
		size_t n = strlen(modules[i]);

		if (!strncmp(word, modules[i], n) && word[n])
			return true;
	}
	return false;
}

static int by_answer(const void *key, const void *entry)
{
	return strcmp(key, ((const struct answer *)entry)->name);
}

const char *redis__reply_types(struct slice name)
{
	char word[REDIS_NAME_MAX + 1];
	const struct answer *a = NULL;

	if (upper(name, word, sizeof(word)))
		a = bsearch(word, answers, COUNT(answers), sizeof(answers[0]), by_answer);
	return a ? a->types : NULL;
}

static const char *subs_of(struct slice name)
{
	for (size_t i = 0; i < COUNT(containers); i++)
		if (slice__ieq(name, slice__cstr(containers[i].name)))
			return containers[i].subs;
	return NULL;
}

bool redis__is_container(struct slice name)
{
	return subs_of(name) != NULL;
}

bool redis__is_subcommand(struct slice name, struct slice sub)
{
	const char *subs = subs_of(name);
	char word[REDIS_SUB_MAX + 3] = " ";

	if (!subs || !upper(sub, word + 1, REDIS_SUB_MAX + 1) || memchr(word + 1, ' ', sub.n))
		return false;
	memcpy(word + 1 + sub.n, " ", 2);
	return strstr(subs, word) != NULL;
}
