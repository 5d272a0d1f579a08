/* Lua scripts, called by digest. */
#ifndef IQ_REDIS_SCRIPT_H
#define IQ_REDIS_SCRIPT_H

#include <stddef.h>

/** A constant table, made at build time. Begins a command with iq_commands_add_script(); a call whose answer is
 * NOSCRIPT (nothing was executed then) is sent once more as EVAL with the same arguments, before the call returns. */
typedef struct iq_script {
    const char *name; /* for messages: "submit" */
    const char *text; /* begins with "#!lua" */
    size_t len;
    const char *sha1; /* 40 lower-case digits: of text */
} iq_script;

#endif
