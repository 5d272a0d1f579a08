/* NOSCRIPT: the server does not know the digest (restart, SCRIPT FLUSH, failover). Nothing was executed then, so the
 * same arguments may be sent again with the text. */
#include "redis/link.h"

size_t iq_script_missing(const iq_commands *commands, iq_reply *const *replies, size_t *indexes)
{
    size_t count = 0;
    for (size_t i = 0; i < commands->count; i++) {
        if (commands->items[i].script == NULL || !iq_reply_is_error(replies[i], "NOSCRIPT"))
            continue;
        if (indexes != NULL)
            indexes[count] = i;
        count++;
    }
    return count;
}
