/* The queue's scripts (lib/queue/lua, docs/protocol.md), embedded by the build. Each is also there by its name:
 * iq_lua_submit, iq_lua_take, iq_lua_touch, iq_lua_done, iq_lua_fail, iq_lua_status, iq_lua_attach, iq_lua_ack,
 * iq_lua_cancel, iq_lua_requeue, iq_lua_purge, iq_lua_pause, iq_lua_config, iq_lua_stats, iq_lua_list, iq_lua_workers,
 * iq_lua_import, iq_lua_probe, iq_lua_reference. Constant, shared by all threads. */
#ifndef IQ_QUEUE_SCRIPTS_H
#define IQ_QUEUE_SCRIPTS_H

#include <stddef.h>

#include "queue/lua_scripts.h"
#include "redis/script.h"

extern const iq_script *const iq_lua_scripts[];
extern const size_t iq_lua_script_count;

#endif
