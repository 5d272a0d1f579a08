/* What the programs ask about the workers of a queue. */
#ifndef CLI_COMMON_WORKERS_H
#define CLI_COMMON_WORKERS_H

#include <stddef.h>

#include <imgq/queue.h>

/** A worker seen longer ago is taken for gone (docs/protocol.md). */
enum { CLI_WORKER_LIVE_MS = 10000 };

/**
 * The preprocessing profile that the queue's live workers tell in their info lines.
 * @param profile  out
 * @return IMGQ_OK; IMGQ_E_NOTFOUND (no live worker tells one); IMGQ_E_CONFLICT (they tell different ones, named);
 *         or as imgq_queue_workers()
 */
imgq_status cli_workers_profile(imgq_queue *queue, char *profile, size_t profile_size, imgq_error *err);
/** Why nobody takes jobs, into out: "no live worker on queue X (last seen 5 min ago)", "deliveries of queue X are
 *  paused"; "" if a worker may, or nobody can tell. @return as imgq_queue_get_stats() */
imgq_status cli_workers_absent(imgq_queue *queue, char *out, size_t out_size, imgq_error *err);
/** A text member of an info line (a JSON object) into out; "" if there is none. @return out */
const char *cli_workers_info(const char *info, const char *key, char *out, size_t out_size);

#endif
