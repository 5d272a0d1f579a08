/* Is anybody there, and how does he want his tensors? */
#include "cli/common/workers.h"

#include <imgq/admin.h>

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/files.h"
#include "cli/common/ui.h"

enum { WORKERS_MAX = 256 };

const char *cli_workers_info(const char *info, const char *key, char *out, size_t out_size)
{
    iq_json *root = NULL;
    out[0] = '\0';
    if (iq_json_parse(info, strlen(info), &root, NULL) == IMGQ_OK) {
        const char *text = iq_json_text(iq_json_get(root, key));
        snprintf(out, out_size, "%s", text != NULL ? text : "");
        iq_json_free(root);
    }
    return out;
}

/* Workers come latest first, so the first one's last sign is the newest time that is known. */
static imgq_status agree(imgq_queue *queue, const imgq_worker_status *workers, size_t count, int64_t now_unix_ms,
                         char *profile, size_t profile_size, imgq_error *err)
{
    profile[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char told[32];
        if (now_unix_ms - workers[i].seen_unix_ms > CLI_WORKER_LIVE_MS)
            continue;
        cli_workers_info(workers[i].info, "profile", told, sizeof told);
        if (told[0] == '\0')
            continue;
        if (profile[0] != '\0' && strcmp(profile, told) != 0)
            return cli_fail(err, IMGQ_E_CONFLICT, 0,
                            "the workers of queue %s prepare tensors as %s and as %s: --profile says which is meant",
                            imgq_queue_name(queue), profile, told);
        snprintf(profile, profile_size, "%s", told);
    }
    if (profile[0] == '\0')
        return cli_fail(err, IMGQ_E_NOTFOUND, 0,
                        "no live worker on queue %s says how tensors are prepared: --profile says it",
                        imgq_queue_name(queue));
    return IMGQ_OK;
}

imgq_status cli_workers_profile(imgq_queue *queue, char *profile, size_t profile_size, imgq_error *err)
{
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    size_t count = 0;
    imgq_worker_status *workers = calloc(WORKERS_MAX, sizeof *workers);
    if (workers == NULL)
        return cli_fail(err, IMGQ_E_NOMEM, 0, "memory ran out asking for the workers of %s", imgq_queue_name(queue));
    workers[0].size = sizeof *workers;
    imgq_status status = imgq_queue_get_stats(queue, &stats, err);
    if (status == IMGQ_OK)
        status = imgq_queue_workers(queue, workers, WORKERS_MAX, &count, err);
    if (status == IMGQ_OK)
        status = agree(queue, workers, count, stats.server_unix_ms, profile, profile_size, err);
    free(workers);
    return status;
}

imgq_status cli_workers_absent(imgq_queue *queue, char *out, size_t out_size, imgq_error *err)
{
    imgq_queue_stats stats = IMGQ_QUEUE_STATS_INIT;
    char ago[24];
    out[0] = '\0';
    const imgq_status status = imgq_queue_get_stats(queue, &stats, err);
    if (status != IMGQ_OK)
        return status;
    if ((stats.paused & IMGQ_PAUSE_DELIVERIES) != 0)
        snprintf(out, out_size, "deliveries of queue %s are paused", imgq_queue_name(queue));
    else if (stats.workers > 0)
        return IMGQ_OK;
    else if (stats.worker_seen_unix_ms == 0)
        snprintf(out, out_size, "no live worker on queue %s (none was ever seen)", imgq_queue_name(queue));
    else
        snprintf(out, out_size, "no live worker on queue %s (last seen %s ago)", imgq_queue_name(queue),
                 cli_format_duration(ago, sizeof ago, stats.server_unix_ms - stats.worker_seen_unix_ms));
    return IMGQ_OK;
}
