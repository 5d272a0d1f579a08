/* Any bytes where a job's result stands, and any state and error beside them. */
#include <imgq/admin.h>

#include "base/bytes.h"
#include "queue/result.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static imgq_env *fuzz_env(void)
{
    static imgq_env *env;
    if (env == NULL && imgq_env_create(NULL, &env, NULL) != IMGQ_OK)
        abort();
    return env;
}

/* A result keeps its promises whatever it was made of. */
static void look_at(const imgq_result *result)
{
    imgq_result_info info = IMGQ_RESULT_INFO_INIT;
    size_t count = 0, json_len = 0;
    const imgq_prediction *top = imgq_result_top(result, &count);
    if (strlen(imgq_result_message(result)) > 0 && imgq_result_status(result) == IMGQ_OK)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (imgq_result_label(result, i) == NULL || top[i].probability != top[i].probability)
            abort();
    }
    if (strlen(imgq_result_json(result, &json_len)) > json_len)
        abort();
    if (imgq_result_get_info(result, &info, NULL) != IMGQ_OK || info.model == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const int states[] = {IMGQ_STATE_SUCCEEDED, IMGQ_STATE_DEAD, IMGQ_STATE_CANCELLED, IMGQ_STATE_EXPIRED, 'Q'};
    const uint16_t error = len > 1 ? iq_load_be16(bytes) : (uint16_t)0;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        imgq_result *result = NULL;
        if (iq_result_of_state(fuzz_env(), "fuzz", states[i], error, bytes, len, &result, NULL) != IMGQ_OK)
            continue;
        look_at(result);
        imgq_result_destroy(result);
    }
    return 0;
}
