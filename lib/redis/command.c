/* Commands as vectors of arguments: nothing is copied or printed but numbers. */
#include "redis/resp.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void iq_commands_init(iq_commands *commands, imgq_env *env)
{
    *commands = (iq_commands){.env = env, .kept = {.env = env}};
}

void iq_commands_clear(iq_commands *commands)
{
    iq_arena_release(&commands->kept);
    commands->count = commands->arg_count = 0;
    commands->failed = false;
}

void iq_commands_release(iq_commands *commands)
{
    iq_arena_release(&commands->kept);
    iq_free(commands->env, commands->args);
    iq_free(commands->env, commands->items);
    iq_commands_init(commands, commands->env);
}

/* Room for one more of `size` bytes in a vector. */
static bool grow(iq_commands *commands, void **vector, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    const size_t more = *cap == 0 ? 16 : *cap * 2;
    void *wider = iq_realloc(commands->env, *vector, more * size);
    if (wider == NULL) {
        commands->failed = true;
        return false;
    }
    *vector = wider;
    *cap = more;
    return true;
}

void iq_commands_bytes(iq_commands *commands, const void *bytes, size_t len)
{
    void *args = commands->args;
    if (commands->count == 0)
        commands->failed = true; /* an argument of no command */
    if (commands->failed || !grow(commands, &args, commands->arg_count, &commands->arg_cap, sizeof *commands->args))
        return;
    commands->args = args;
    commands->args[commands->arg_count++] = (iq_arg){len > 0 ? bytes : "", len};
    commands->items[commands->count - 1].count++;
}

static void begin(iq_commands *commands, const char *name, const iq_script *script)
{
    void *items = commands->items;
    if (commands->failed || !grow(commands, &items, commands->count, &commands->cap, sizeof *commands->items)) {
        commands->count++; /* as many replies are expected, if only to be set to NULL */
        return;
    }
    commands->items = items;
    commands->items[commands->count++] = (iq_command){.first = commands->arg_count, .script = script};
    iq_commands_text(commands, name);
}

void iq_commands_add(iq_commands *commands, const char *name)
{
    begin(commands, name, NULL);
}

void iq_commands_add_script(iq_commands *commands, const iq_script *script, size_t key_count)
{
    begin(commands, "EVALSHA", script);
    iq_commands_text(commands, script->sha1);
    iq_commands_uint(commands, key_count);
}

void iq_commands_text(iq_commands *commands, const char *text)
{
    iq_commands_bytes(commands, text, strlen(text));
}

void iq_commands_copy(iq_commands *commands, const void *bytes, size_t len)
{
    const char *copy = commands->failed ? NULL : iq_arena_strndup(&commands->kept, len > 0 ? bytes : "", len);
    if (copy == NULL)
        commands->failed = true;
    iq_commands_bytes(commands, copy, len);
}

void iq_commands_int(iq_commands *commands, int64_t number)
{
    char text[24];
    const int len = snprintf(text, sizeof text, "%" PRId64, number);
    iq_commands_copy(commands, text, (size_t)len);
}

void iq_commands_uint(iq_commands *commands, uint64_t number)
{
    char text[24];
    const int len = snprintf(text, sizeof text, "%" PRIu64, number);
    iq_commands_copy(commands, text, (size_t)len);
}
